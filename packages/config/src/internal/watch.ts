/**
 * Tells when a file may have become another: it was written, replaced, or a link on the way to it was.
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberMap from "effect/FiberMap"
import * as FileSystem from "effect/FileSystem"
import * as Path from "effect/Path"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { namesOnTheWay } from "./links.ts"

/** Where a directory cannot be watched (it is not there yet, the system has no watcher left), the file is looked at so often. */
const poll = Duration.seconds(1)

/** Waits until something may have changed since the last time; many changes at once are one. */
export interface Watcher {
  readonly changed: Effect.Effect<void>
  /**
   * Watches where the way leads now; true if something is watched that was not before, so that a change may have been missed. What was
   * watched is watched anew where the file is `lost`: a directory that takes another's name is another.
   */
  readonly follow: (lost: boolean) => Effect.Effect<boolean>
}

interface Watched {
  readonly names: ReadonlySet<string>
  /** false: it is looked at from time to time */
  isLive: boolean
}

export const make = (file: string): Effect.Effect<Watcher, never, FileSystem.FileSystem | Path.Path | Scope.Scope> =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
    const changes = yield* Queue.sliding<void>(1)
    const fibers = yield* FiberMap.make<string>()
    const watched = new Map<string, Watched>()

    const watch = Effect.fnUntraced(function* (directory: string, names: ReadonlySet<string>) {
      const state: Watched = { names, isLive: false }
      const known = yield* Deferred.make<void>()
      const onReady = () => {
        state.isLive = true
        Deferred.doneUnsafe(known, Effect.void)
      }
      const events = Stream.runForEach(fileSystem.watch(directory, { onReady }), (event) => {
        const name = path.basename(event.path)
        // What becomes of the directory itself is told in its own name: it has gone, and another one may have its place already.
        if (name === path.basename(directory)) state.isLive = false
        return names.has(name) || !state.isLive || event._tag === "Remove"
          ? Queue.offer(changes, undefined)
          : Effect.void
      })
      // a watcher that ended, or that there never was
      const ended = Effect.sync(() => {
        state.isLive = false
        Deferred.doneUnsafe(known, Effect.void)
      })
      const looking = Effect.forever(Effect.delay(Queue.offer(changes, undefined), poll))
      yield* FiberMap.run(fibers, directory, events.pipe(Effect.exit, Effect.andThen(ended), Effect.andThen(looking)))
      yield* Deferred.await(known)
      watched.set(directory, state)
      return state.isLive
    })

    const follow = Effect.fnUntraced(function* (lost: boolean) {
      const way = yield* namesOnTheWay(file)
      for (const directory of watched.keys()) {
        if (way.has(directory)) continue
        watched.delete(directory)
        yield* FiberMap.remove(fibers, directory)
      }
      let isNew = false
      for (const [directory, names] of way) {
        const before = watched.get(directory)
        const isKnown = before !== undefined && [...names].every((name) => before.names.has(name))
        if (isKnown && before.isLive && !lost) continue
        const isLive = yield* watch(directory, names)
        if (!isKnown || isLive) isNew = true
      }
      return isNew
    })

    return { changed: Queue.take(changes), follow: (lost) => Effect.provideContext(follow(lost), services) }
  })
