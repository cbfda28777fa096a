/**
 * A session of a backend that another process keeps, held there for as long as a caller here wants it: its calls are made on that one or on none.
 */
import { type Backend, BackendError } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import type { Pinned } from "../owner/pins.ts"
import { NotKept } from "../protocol.ts"
import type { Ask } from "./asking.ts"
import { type Options as Using, using } from "./elsewhere.ts"
import { isAnswered, isRejected, isUnavailable, reach } from "./reach.ts"

/** How long a session is waited for beyond the finding of an owner: the owner has its own, shorter bound. */
const longest = Duration.minutes(3)

type Refused = BackendError.SessionUnavailable | BackendError.CallRejected

const isRefused = (error: unknown): error is Refused => isUnavailable(error) || isRejected(error)

export interface Options extends Pick<Using<BackendError.CallError>, "id" | "attachment" | "session"> {
  /** who asks, as it is attached */
  readonly caller: string
  /** Waits for an owner. */
  readonly attached: Effect.Effect<void, BackendError.SessionUnavailable>
  /** Has a session held under that name until the stream ends, which tells first which it is. */
  readonly hold: (pin: string) => Stream.Stream<Pinned, unknown>
  readonly ask: Ask
  /** Whether it says that the backend has ended where it was kept, and goes on elsewhere. */
  readonly isLeft: (error: unknown) => boolean
  /** a name that no other pin has */
  readonly name: () => string
}

/** As `Backend.pinned` has it. */
export const pinning =
  ({
    ask,
    attached,
    attachment,
    caller,
    hold,
    id,
    isLeft,
    name,
    session
  }: Options): Backend.Backend<Peer.Peer>["pinned"] =>
  (body) =>
    Effect.scopedWith((scope) =>
      Effect.gen(function* () {
        let isOver = false
        const open = Effect.gen(function* () {
          const pin = name()
          const first = Deferred.makeUnsafe<Pinned, unknown>()
          const holding = Stream.runForEach(hold(pin), (pinned) =>
            Effect.sync(() => Deferred.doneUnsafe(first, Effect.succeed(pinned)))
          )
          const fiber = yield* Effect.forkIn(holding, scope)
          fiber.addObserver((exit) => {
            Deferred.doneUnsafe(first, Effect.andThen(exit, Effect.fail(new NotKept())))
          })
          const pinned = yield* Effect.onInterrupt(Deferred.await(first), () => Fiber.interrupt(fiber))
          // The owner is gone, or keeps it no longer, and its session with it.
          fiber.addObserver(() => void (isOver = true))
          return { id: pin, generation: pinned.generation }
        })
        yield* attached
        const pin = yield* reach(id, longest, open, (error): error is Refused => isRefused(error) && !isLeft(error))
        const gone = new BackendError.SessionReplaced({ backend: id, generation: pin.generation })
        const use = using<BackendError.CallError | BackendError.SessionReplaced>({
          id,
          attachment,
          session,
          isMet: isAnswered,
          ask: (request, fork, settled) => {
            if (!isOver) return ask({ ...request, caller, pin }, fork, settled)
            settled(Exit.fail(gone))
            return () => {}
          }
        })
        return yield* body({
          generation: pin.generation,
          use: (callback) => Effect.suspend(() => (isOver ? Effect.fail(gone) : use(callback)))
        })
      })
    )
