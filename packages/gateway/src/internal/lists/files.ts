/**
 * The last lists of each backend on disk, so that one that is down when the gateway starts has its tools.
 *
 * A file is written whole beside its place and moved there, so that nobody reads half of one, and is for its owner's eyes alone: URIs
 * may be secrets. What cannot be read or written is told once, and done without.
 */
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as FileSystem from "effect/FileSystem"
import * as Option from "effect/Option"
import * as Path from "effect/Path"
import type * as Scope from "effect/Scope"
import { randomBytes } from "node:crypto"
import type { Lists } from "../catalogue/kinds.ts"
import * as File from "./file.ts"

/** What keeps lists. */
export interface Store {
  /** What was kept of a backend. */
  readonly restore: (backend: string) => Effect.Effect<Option.Option<Lists>>
  /** Other lists of a backend are known now. */
  readonly changed: (backend: string) => void
  /** The backend is there no longer. */
  readonly forget: (backend: string) => Effect.Effect<void>
}

/** Keeps nothing. */
export const none: Store = {
  restore: () => Effect.succeed(Option.none()),
  changed: () => {},
  forget: () => Effect.void
}

/** What it is made of. */
export interface Options {
  /** is made where it is not there */
  readonly folder: string
  readonly known: (backend: string) => Lists
  /** the backends that are there now */
  readonly ids: () => Iterable<string>
}

/** A backend that comes up tells several lists, and a server may change them often: they are written together. */
const settling = "1 second"

/** After so long, files of backends that are not there are removed: by then the configuration was applied. */
const pruning = "1 minute"

/** Keeps them in a folder, until the scope closes; what is not written by then is written at once. */
export const make = ({
  folder,
  ids,
  known
}: Options): Effect.Effect<Store, never, Scope.Scope | FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const unwritten = new Set<string>()
    const warned = new Set<string>()
    let isWriting = false

    // no error is repeated: it may name what is in the file
    const warn = (message: string, about: string) =>
      Effect.suspend(() => {
        if (warned.has(message)) return Effect.void
        warned.add(message)
        return Effect.annotateLogs(Effect.logWarning(message), { file: about })
      })

    const placeOf = (backend: string) => path.join(folder, File.nameOf(backend))

    const write = (backend: string) =>
      Effect.gen(function* () {
        const place = placeOf(backend)
        const text = File.textOf(backend, known(backend))
        if (text === undefined) return yield* files.remove(place, { force: true })
        const beside = `${place}.${randomBytes(6).toString("hex")}.tmp`
        yield* files.writeFileString(beside, text, { flag: "wx", mode: 0o600 })
        yield* Effect.onError(files.rename(beside, place), () => Effect.ignore(files.remove(beside)))
      }).pipe(Effect.catch(() => warn("The last lists of backends cannot be written, and are not kept", folder)))

    const writeAll = Effect.suspend(() => {
      const now = [...unwritten]
      unwritten.clear()
      return Effect.forEach(now, write, { concurrency: 4, discard: true })
    })

    const writing: Effect.Effect<void> = Effect.gen(function* () {
      while (unwritten.size > 0) {
        yield* Effect.sleep(settling)
        yield* Effect.uninterruptible(writeAll)
      }
      isWriting = false
    })

    const prune = Effect.gen(function* () {
      const kept = new Set(Array.from(ids(), File.nameOf))
      const others = (yield* files.readDirectory(folder)).filter((name) => File.isName(name) && !kept.has(name))
      yield* Effect.forEach(others, (name) => files.remove(path.join(folder, name), { force: true }), { discard: true })
    })

    yield* files
      .makeDirectory(folder, { recursive: true, mode: 0o700 })
      .pipe(Effect.catch(() => warn("The last lists of backends cannot be written, and are not kept", folder)))
    yield* Effect.addFinalizer(() => writeAll)
    const run = yield* FiberSet.makeRuntime<never>()
    yield* Effect.forkScoped(Effect.ignore(Effect.delay(prune, pruning)))

    const restore = (backend: string): Effect.Effect<Option.Option<Lists>> =>
      Effect.gen(function* () {
        const place = placeOf(backend)
        if (!(yield* files.exists(place))) return Option.none()
        const { size } = yield* files.stat(place)
        const lists = size > File.mostBytes ? Option.none() : File.read(backend, yield* files.readFileString(place))
        if (Option.isNone(lists)) yield* warn("A file of a backend's last lists is none, and is ignored", place)
        return lists
      }).pipe(
        Effect.catch(() =>
          Effect.as(
            warn("A file of a backend's last lists cannot be read, and is ignored", placeOf(backend)),
            Option.none()
          )
        )
      )

    return {
      restore,
      changed: (backend) => {
        unwritten.add(backend)
        if (isWriting) return
        isWriting = true
        run(writing)
      },
      forget: (backend) =>
        Effect.suspend(() => {
          unwritten.delete(backend)
          return Effect.ignore(files.remove(placeOf(backend), { force: true }))
        })
    }
  })
