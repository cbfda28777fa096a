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
  /** watches where the way leads now; true if it leads elsewhere than the last time, so that something may have been missed */
  readonly follow: Effect.Effect<boolean>
}

export const make = (
  file: string
): Effect.Effect<Watcher, never, FileSystem.FileSystem | Path.Path | Scope.Scope> =>
  Effect.gen(function* () {
    const fileSystem = yield* FileSystem.FileSystem
    const path = yield* Path.Path
    const services = yield* Effect.context<FileSystem.FileSystem | Path.Path>()
    const changes = yield* Queue.sliding<void>(1)
    const fibers = yield* FiberMap.make<string>()
    let watched = new Map<string, ReadonlySet<string>>()

    const watch = (directory: string, names: ReadonlySet<string>) =>
      Effect.gen(function* () {
        const ready = yield* Deferred.make<void>()
        const events = fileSystem.watch(directory, { onReady: () => Deferred.doneUnsafe(ready, Effect.void) })
        const relevant = Stream.runForEach(events, (event) =>
          // what became of the directory itself is told in its own name
          names.has(path.basename(event.path)) || event._tag === "Remove" ? Queue.offer(changes, undefined) : Effect.void
        )
        yield* FiberMap.run(
          fibers,
          directory,
          relevant.pipe(
            Effect.exit,
            Effect.andThen(Deferred.succeed(ready, undefined)),
            // a watcher that ended, or that there never was
            Effect.andThen(Effect.repeat(Effect.delay(Queue.offer(changes, undefined), poll), { while: () => true }))
          )
        )
        yield* Deferred.await(ready)
      })

    const follow = Effect.gen(function* () {
      const names = yield* namesOnTheWay(file)
      let isElsewhere = false
      for (const directory of watched.keys()) {
        if (!names.has(directory)) yield* FiberMap.remove(fibers, directory)
      }
      for (const [directory, here] of names) {
        const before = watched.get(directory)
        if (before !== undefined && here.size === before.size && [...here].every((name) => before.has(name))) continue
        isElsewhere = true
        yield* watch(directory, here)
      }
      watched = names
      return isElsewhere
    }).pipe(Effect.provideContext(services))

    return { changed: Queue.take(changes), follow: Effect.orDie(follow) }
  })
