/**
 * Asking a backend's owner, whoever that is: what was not executed is asked again, of the next one, for a bounded time.
 */
import { BackendError, type ConnectionState } from "@vmcp-keepalive/core"
import * as Cause from "effect/Cause"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { StorageUnavailable } from "../../ClusterError.ts"

/** that no process keeps the backend that can be reached */
export const unkept = (backend: string): BackendError.SessionUnavailable =>
  new BackendError.SessionUnavailable({
    backend,
    state: "Disconnected",
    reason: undefined,
    detail: { summary: "no process of the cluster keeps it", output: [] },
    retryAfter: undefined
  })

/** The same as a state. Why there is no session is not known here: the word for that is `unknown`. */
export const unkeptSince = (since: number): ConnectionState.ConnectionState => ({
  _tag: "Disconnected",
  since,
  nextAttemptAt: undefined,
  attempt: 0,
  reason: "unknown"
})

/** between two tries */
const pause = "100 millis"

/**
 * Asks until an owner answers. Only for what does the same if it is asked twice: an owner that dies may have done it. Whatever
 * is no answer of an owner comes from the engine, or from one that keeps it no longer.
 */
export const persist = <A, E>(
  ask: Effect.Effect<A, unknown>,
  isAnswer: (error: unknown) => error is E
): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    while (true) {
      // An owner that ends interrupts whoever asked it: in a fiber of its own that is no interruption of the caller's.
      const fiber = yield* Effect.forkChild(ask, { startImmediately: true })
      const exit = yield* Effect.onInterrupt(Fiber.await(fiber), () => Fiber.interrupt(fiber))
      if (Exit.isSuccess(exit)) return exit.value
      const error = Option.getOrUndefined(Cause.findErrorOption(exit.cause))
      if (isAnswer(error)) return yield* Effect.fail(error)
      if (error === undefined && !Cause.hasInterruptsOnly(exit.cause))
        return yield* Effect.die(Cause.squash(exit.cause))
      yield* Effect.sleep(pause)
    }
  })

/** The same, at most for that long. */
export const reach = <A, E>(
  id: string,
  patience: Duration.Duration,
  ask: Effect.Effect<A, unknown>,
  isAnswer: (error: unknown) => error is E
): Effect.Effect<A, E | BackendError.SessionUnavailable> =>
  Effect.timeoutOrElse(persist(ask, isAnswer), { duration: patience, orElse: () => Effect.fail(unkept(id)) })

export const isCallError = Schema.is(BackendError.CallError)

/** Whether a call was answered by an owner: with what core says of it. */
export const isAnswered = Schema.is(Schema.Union([BackendError.CallError, BackendError.SessionReplaced]))

export const isUnavailable = (error: unknown): error is BackendError.SessionUnavailable =>
  error instanceof BackendError.SessionUnavailable

export const isRejected = (error: unknown): error is BackendError.CallRejected =>
  error instanceof BackendError.CallRejected

/**
 * That the backend has ended where it was kept until now: nothing was executed. As long as it is listed it goes on elsewhere.
 */
export const left =
  (isListed: () => boolean) =>
  (error: unknown): boolean =>
    isRejected(error) && error.state === "Closed" && isListed()

export const isOfStorage = (error: unknown): error is StorageUnavailable => error instanceof StorageUnavailable
