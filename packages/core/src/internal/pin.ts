/**
 * Several calls on one session, or not at all: nothing of them continues on another one.
 */
import * as Effect from "effect/Effect"
import type { CallError, CallRejected, SessionReplaced, SessionUnavailable } from "../BackendError.ts"
import { outcomeOf, Settling } from "./call.ts"
import { sessionReplaced } from "./errors.ts"
import { cleared, type Ended, judge, told } from "./judgement.ts"
import type { Place } from "./limit.ts"
import { admitted, turnOn } from "./queueing.ts"
import { type Callback, runOnce } from "./run.ts"
import { type CallInFlight, isUsable, type OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"
import * as Tracing from "./tracing.ts"
import {
  awaitDecision,
  awaitRelease,
  castDoubt,
  deadlineOf,
  hasOtherCredentials,
  isStale,
  ready,
  unavailable
} from "./waiting.ts"

/** One session, for as long as it lives. */
export interface PinnedSession<out Client> {
  readonly generation: number
  /** As `Backend.use`, on this session or not at all. */
  readonly use: <A, E = never, R = never>(
    callback: (client: Client, signal: AbortSignal) => PromiseLike<A> | Effect.Effect<A, E, R>
  ) => Effect.Effect<A, CallError | SessionReplaced | E, R>
}

/** Runs the body with a session that lives as long as it does, unless the server or the transport ends it. */
export const pinned = <Client, A, E, R>(
  supervisor: Supervisor<Client>,
  body: (session: PinnedSession<Client>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionUnavailable | CallRejected, R> =>
  Effect.gen(function* () {
    const open = yield* sessionToPin(supervisor)
    const session: PinnedSession<Client> = {
      generation: open.generation,
      use: (callback) => useOn(supervisor, open, callback)
    }
    // between its calls the server has nothing to work on, so that it excuses no silent probe
    const pin: CallInFlight = {
      startedAt: Number.POSITIVE_INFINITY,
      requests: [],
      abandon: () => {},
      before: undefined,
      after: undefined,
      isIn: false
    }
    return yield* Effect.acquireUseRelease(
      Effect.sync(() => open.calls.add(pin)),
      () => body(session),
      // the whole body keeps the session in use: one that drains lives until it ends
      () =>
        Effect.sync(() => {
          open.calls.delete(pin)
          open.seen.call = supervisor.now()
          supervisor.released(open)
        })
    )
  })

/** The session to which several calls are bound. Where there is none, it is as if one of them had been rejected. */
const sessionToPin = <Client>(
  supervisor: Supervisor<Client>
): Effect.Effect<OpenSession<Client>, SessionUnavailable | CallRejected> =>
  Effect.suspend(() => {
    const startedAt = supervisor.now()
    return Effect.tapError(ready(supervisor, deadlineOf(supervisor)), (error) =>
      Effect.sync(() => {
        if (supervisor.announcer.isHeard) new Settling(supervisor, startedAt).settled(outcomeOf(error), error.reason)
      })
    )
  })

/** A call on this session or not at all. */
const useOn = <Client, A, E, R>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A, E, R>
): Effect.Effect<A, CallError | SessionReplaced | E, R> =>
  Effect.suspend(() => {
    const settling = supervisor.announcer.isHeard ? new Settling(supervisor, supervisor.now()) : undefined
    const proceeding = admitted(supervisor, (place) => proceedOn(supervisor, open, callback, settling, place))
    const call = settling === undefined ? proceeding : settling.announcing(proceeding)
    return supervisor.policy.spans ? Tracing.call(supervisor.id, call) : call
  })

const proceedOn = Effect.fnUntraced(function* <Client, A, E, R>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A, E, R>,
  settling: Settling | undefined,
  place: Place | undefined
): Effect.fn.Return<A, CallError | SessionReplaced | E, R> {
  const { id } = supervisor
  if (place !== undefined) yield* turnOn(supervisor, place, open)
  const deadline = deadlineOf(supervisor)
  const replaced = Effect.suspend(() => Effect.fail(sessionReplaced({ backend: id, generation: open.generation })))
  yield* awaitRelease(supervisor, open, deadline)
  const isAsked = supervisor.isOpen(open) && isStale(supervisor, open, supervisor.now())
  if (isAsked) {
    if (!(yield* awaitDecision(supervisor, open, deadline))) return yield* Effect.fail(unavailable(supervisor))
    yield* awaitRelease(supervisor, open, deadline)
  }
  let replayed = false
  while (true) {
    if (!isUsable(open)) return yield* replaced
    const startedAt = supervisor.now()
    if (!replayed) supervisor.replays?.called(startedAt)
    const ended: Ended<A, E> = yield* runOnce(supervisor, open, callback, startedAt, settling)
    if (ended._tag === "Ok") return ended.value
    const judged = judge(supervisor, open, ended, {})
    const { again, doubt, truth } = judged
    if (!replayed && again && doubt === "auth") {
      replayed = yield* hasOtherCredentials(supervisor, open, startedAt, deadline)
      if (replayed && settling !== undefined) settling.replayed = true
      if (replayed) continue
    }
    if (truth._tag === "SessionUnavailable") return yield* replaced
    if (doubt !== "session" || truth._tag !== "CallFailed") {
      castDoubt(supervisor, open, judged)
      return yield* told(truth, ended)
    }
    const isWell = (yield* awaitDecision(supervisor, open, deadline, judged)) && supervisor.isOpen(open)
    return yield* Effect.fail(isWell ? cleared(truth) : truth)
  }
})
