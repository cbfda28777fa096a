/**
 * What the owner of a backend tells: how it stands, and what happens from then on, with nothing lost between the two.
 */
import type { Backend, KeepaliveEvent } from "@vmcp-keepalive/core"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import type { Told } from "../protocol.ts"

/** How many events a reader may be behind: as with a backend. */
const readerBuffer = 4096

export const tell = (backend: Backend.Backend<unknown>): Stream.Stream<Told> =>
  Stream.unwrap(
    Effect.gen(function* () {
      const events = yield* Queue.sliding<KeepaliveEvent.KeepaliveEvent, Cause.Done>(readerBuffer)
      yield* Effect.forkScoped(Stream.runIntoQueue(backend.events, events), { startImmediately: true })
      const state = yield* backend.state
      return Stream.concat(
        Stream.succeed<Told>({ _tag: "Began", state }),
        Stream.map(Stream.fromQueue(events), (event): Told => ({ _tag: "Happened", event }))
      )
    })
  )
