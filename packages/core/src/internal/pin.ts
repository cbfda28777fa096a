/**
 * Several calls on one session, or not at all: nothing of them continues on another one.
 */
import * as Effect from "effect/Effect"
import type { CallError, CallRejected, SessionReplaced, SessionUnavailable } from "../BackendError.ts"
import { announced, announcedFailure } from "./call.ts"
import { sessionReplaced } from "./errors.ts"
import { cleared, type Ended, judge, type Kept } from "./judgement.ts"
import { type Callback, runOnce, type Settling } from "./run.ts"
import { type CallInFlight, isUsable, type OpenSession } from "./sessionCell.ts"
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
  readonly use: <A>(
    callback: (client: Client, signal: AbortSignal) => PromiseLike<A>
  ) => Effect.Effect<A, CallError | SessionReplaced>
}

/** Runs the body with a session that lives as long as it does, unless the server or the transport ends it. */
export const pinned = <Client, A, E, R>(
  kept: Kept<Client>,
  body: (session: PinnedSession<Client>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E | SessionUnavailable | CallRejected, R> =>
  Effect.gen(function* () {
    const { supervisor } = kept
    const open = yield* sessionToPin(kept)
    const session: PinnedSession<Client> = {
      generation: open.generation,
      use: (callback) => useOn(kept, open, callback)
    }
    // between its calls the server has nothing to work on, so that it excuses no silent probe
    const pin: CallInFlight = { startedAt: Number.POSITIVE_INFINITY, requests: [], abandon: () => {} }
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
  kept: Kept<Client>
): Effect.Effect<OpenSession<Client>, SessionUnavailable | CallRejected> =>
  Effect.suspend(() => announcedFailure(kept, kept.supervisor.now(), ready(kept, deadlineOf(kept))))

/** A call on this session or not at all. */
const useOn = <Client, A>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>
): Effect.Effect<A, CallError | SessionReplaced> =>
  Effect.suspend(() => {
    const settling: Settling = { replayed: false, method: undefined }
    const told = announced(kept, settling, kept.supervisor.now(), proceedOn(kept, open, callback, settling))
    return kept.policy.spans ? Tracing.call(kept.id, told) : told
  })

const proceedOn = Effect.fnUntraced(function* <Client, A>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>,
  settling: Settling
): Effect.fn.Return<A, CallError | SessionReplaced> {
  const { id, supervisor } = kept
  const deadline = deadlineOf(kept)
  const replaced = Effect.suspend(() => Effect.fail(sessionReplaced({ backend: id, generation: open.generation })))
  yield* awaitRelease(kept, open, deadline)
  const isAsked = supervisor.isOpen(open) && isStale(kept, open, supervisor.now())
  if (isAsked) {
    if (!(yield* awaitDecision(kept, open, deadline))) return yield* Effect.fail(unavailable(kept))
    yield* awaitRelease(kept, open, deadline)
  }
  while (true) {
    if (!isUsable(open)) return yield* replaced
    const startedAt = supervisor.now()
    const ended: Ended<A> = yield* runOnce(kept, open, callback, startedAt, settling)
    if (ended._tag === "Ok") return ended.value
    const judged = judge(kept, open, ended, {})
    const { again, doubt, truth } = judged
    if (!settling.replayed && again && doubt === "auth") {
      settling.replayed = yield* hasOtherCredentials(kept, open, startedAt, deadline)
      if (settling.replayed) continue
    }
    if (truth._tag === "SessionUnavailable") return yield* replaced
    if (doubt !== "session" || truth._tag !== "CallFailed") {
      castDoubt(kept, open, judged)
      return yield* Effect.fail(truth)
    }
    const isWell = (yield* awaitDecision(kept, open, deadline, judged)) && supervisor.isOpen(open)
    return yield* Effect.fail(isWell ? cleared(truth) : truth)
  }
})
