/**
 * One use of a backend: on which session the callback runs, what its end means, and whether it may be run again.
 *
 * At most once: the callback is run again only if every request that it made so far was unsent, refused before
 * dispatch, or replayable. Otherwise its caller gets the truth, `OutcomeUnknown`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CallRejected, type CallError, SessionUnavailable } from "../BackendError.ts"
import { admission, reasonOf } from "../ConnectionState.ts"
import { type RequestRecord, traceparent } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { CallOutcome } from "../KeepaliveEvent.ts"
import { isProbed } from "../Probe.ts"
import type { Doubt } from "../Signal.ts"
import { type Ended, judge, type Kept, type Unfinished, type UseOptions } from "./judgement.ts"
import type { CallInFlight, OpenSession } from "./sessionCell.ts"
import * as Tracing from "./tracing.ts"

export type Callback<Client, A> = (client: Client, signal: AbortSignal) => PromiseLike<A>

/** Runs the callback on the open session, once. Interruption aborts its signal. */
export const runOnce = <Client, A>(
  { policy, supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>,
  startedAt: number
): Effect.Effect<Ended<A>> =>
  Effect.withFiber(({ cache: { span } }) => {
    if (policy.spans) Tracing.link(span, open)
    return Effect.callback((resume) => {
      const call = open.session.call(span && traceparent(span))
      // a controller costs as much as the rest of the guard: made only for a callback that takes the signal
      const controller = callback.length > 1 ? new AbortController() : undefined
      const entry: CallInFlight = {
        startedAt,
        abandon: (reason) => {
          resume(Effect.succeed({ _tag: "Abandoned", reason, requests: snapshot(call.requests) }))
          controller?.abort()
        }
      }
      const leave = () => {
        if (!open.calls.delete(entry)) return false
        open.seen.call = supervisor.now()
        supervisor.released(open)
        return true
      }
      open.calls.add(entry)
      const settle = (ended: Ended<A>) => {
        if (!leave()) return
        if (isAnswered(call.requests)) {
          open.seen.answer = open.seen.call
          supervisor.send({ _tag: "CallAnswered", generation: open.generation })
        }
        resume(Effect.succeed(ended))
      }
      const threw = (cause: unknown) => settle({ _tag: "Threw", cause, requests: call.requests })
      try {
        callback(call.client, controller?.signal ?? never).then((value) => settle({ _tag: "Ok", value }), threw)
      } catch (cause) {
        threw(cause)
      }
      return Effect.sync(() => {
        leave()
        controller?.abort()
      })
    })
  })

/** Whether the server answered a request in a way that casts no doubt: also with an error, whatever the callback made of it. */
const isAnswered = (requests: ReadonlyArray<RequestRecord>): boolean => {
  for (const { evidence, fate } of requests) {
    if (fate === "answered" && evidence !== undefined && Evidence.ofCall(evidence) === undefined) return true
  }
  return false
}

/** Waits for a session that calls may run on, until the deadline. */
export const awaitSession = <Client>(
  kept: Kept<Client>,
  deadline: number
): Effect.Effect<OpenSession<Client>, SessionUnavailable | CallRejected> => {
  const { supervisor } = kept
  const awaiting = Effect.callback<OpenSession<Client>, SessionUnavailable | CallRejected>((resume) => {
    const look = () => {
      const open = supervisor.current()
      if (open) resume(Effect.succeed(open))
      if (open) return true
      const error = denied(kept, deadline)
      if (error) resume(Effect.fail(error))
      return error !== undefined
    }
    supervisor.send({ _tag: "CallStarted" })
    if (look()) return
    supervisor.waiters.add(look)
    return Effect.sync(() => supervisor.waiters.delete(look))
  })
  return Effect.suspend(() => {
    const open = supervisor.current()
    if (open) return Effect.succeed(open)
    return Effect.timeoutOrElse(awaiting, {
      duration: Duration.millis(Math.max(0, deadline - supervisor.now())),
      orElse: () => Effect.fail(unavailable(kept))
    })
  })
}

/** Why a call cannot even wait; `undefined` while it can. */
const denied = <Client>(kept: Kept<Client>, deadline: number): SessionUnavailable | CallRejected | undefined => {
  const { supervisor } = kept
  const verdict = admission(supervisor.state())
  if (verdict === "reject") return rejected(kept)
  const retryAfter = supervisor.untilAttempt()
  const isDueLater = retryAfter !== undefined && supervisor.now() + Duration.toMillis(retryAfter) > deadline
  return verdict === "wait" && isDueLater ? unavailable(kept) : undefined
}

/** The error of a state that rejects. */
export const rejected = <Client>({ id, supervisor }: Kept<Client>): CallRejected => {
  const state = supervisor.state()
  return new CallRejected({
    backend: id,
    // `admission` rejects in these states only
    state: state._tag as CallRejected["state"],
    reason: reasonOf(state),
    detail: supervisor.detail(),
    retryAfter: supervisor.untilAttempt()
  })
}

/** The error of a state in which there is no session. */
export const unavailable = <Client>({ id, supervisor }: Kept<Client>) =>
  new SessionUnavailable({
    backend: id,
    state: supervisor.state()._tag,
    reason: reasonOf(supervisor.state()),
    detail: supervisor.detail(),
    retryAfter: supervisor.untilAttempt()
  })

/** Casts doubt on the session and waits until a probe has decided it; false if the deadline comes first. */
const awaitDecision = <Client>(
  { supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  deadline: number,
  doubt: Doubt,
  reason: FailureReason
): Effect.Effect<boolean> =>
  Effect.callback<boolean>((resume) => {
    const decided = () => resume(Effect.succeed(true))
    // a session that has been replaced is in doubt no more
    if (supervisor.current() !== open) return decided()
    supervisor.doubters.add(decided)
    supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
    return Effect.sync(() => supervisor.doubters.delete(decided))
  }).pipe(
    Effect.timeoutOrElse({
      duration: Duration.millis(Math.max(0, deadline - supervisor.now())),
      orElse: () => Effect.succeed(false)
    })
  )

/** The session on which a call may begin: one that was silent for long is asked first whether it still lives. */
const ready = Effect.fnUntraced(function* <Client>(kept: Kept<Client>, deadline: number) {
  while (true) {
    const open = yield* awaitSession(kept, deadline)
    if (!isStale(kept, open, kept.supervisor.now())) return open
    const isDecided = yield* awaitDecision(kept, open, deadline, "stale", "timeout")
    if (!isDecided) return yield* Effect.fail(unavailable(kept))
    if (kept.supervisor.current() === open) return open
  }
})

/** A session that is not probed, for there is nothing to keep, is not asked before a call either. */
const isStale = <Client>({ policy }: Kept<Client>, open: OpenSession<Client>, now: number) =>
  now - open.seen.alive > Duration.toMillis(policy.staleAfter) && isProbed(policy.probe, open.session)

/** Settles a call exactly once, on as many sessions as it takes. */
export const use = <Client, A>(
  kept: Kept<Client>,
  callback: Callback<Client, A>,
  options: UseOptions = {}
): Effect.Effect<A, CallError> =>
  Effect.suspend(() => {
    const { supervisor } = kept
    const open = supervisor.current()
    const now = supervisor.now()
    const settling: Settling = { replayed: false }
    const begin = (): Effect.Effect<A, CallError> => {
      // a backend that is known to be bad is spared every further step
      if (!open && admission(supervisor.state()) === "reject") return Effect.fail(rejected(kept))
      if (!open || isStale(kept, open, now)) return proceed(kept, callback, options, settling, undefined)
      return Effect.flatMap(runOnce(kept, open, callback, now), (ended) =>
        ended._tag === "Ok" ? Effect.succeed(ended.value) : proceed(kept, callback, options, settling, { open, ended })
      )
    }
    const call = announced(kept, settling, begin())
    return kept.policy.spans ? Tracing.call(kept.id, call) : call
  })

/** Tells how the call ends, if anybody listens. */
const announced = <Client, A>(
  { supervisor: { announcer } }: Kept<Client>,
  settling: Settling,
  call: Effect.Effect<A, CallError>
): Effect.Effect<A, CallError> => {
  if (!announcer.isHeard()) return call
  const settled = (outcome: CallOutcome) => Effect.sync(() => announcer.emit({ _tag: "CallSettled", outcome }))
  return call.pipe(
    Effect.tap(() => settled(settling.replayed ? "replayed" : "ok")),
    Effect.tapError((error) => settled(outcomeOf(error)))
  )
}

/** A call on this session or not at all. */
export const useOn = <Client, A>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>
): Effect.Effect<A, CallError> =>
  Effect.suspend(() => {
    const call = Effect.flatMap(runOnce(kept, open, callback, kept.supervisor.now()), (ended) => {
      if (ended._tag === "Ok") return Effect.succeed(ended.value)
      const { doubt, reason, truth } = judge(kept, open, ended, {})
      if (doubt) kept.supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
      return Effect.fail(truth)
    })
    const told = announced(kept, { replayed: false }, call)
    return kept.policy.spans ? Tracing.call(kept.id, told) : told
  })

/** A call that ends every session on which it runs must not go on to do so (the bound of the AWS SDKs' standard mode). */
const maxRuns = 3

interface Settling {
  replayed: boolean
}

interface Run<Client> {
  readonly open: OpenSession<Client>
  readonly ended: Unfinished
}

/** What follows a run that did not succeed, or the lack of a session to run on. */
const proceed = Effect.fnUntraced(function* <Client, A>(
  kept: Kept<Client>,
  callback: Callback<Client, A>,
  options: UseOptions,
  settling: Settling,
  first: Run<Client> | undefined
): Effect.fn.Return<A, CallError> {
  const { policy, supervisor } = kept
  const deadline = supervisor.now() + Duration.toMillis(policy.waitForSession)
  let run = first
  let runs = 0
  let unknown: CallError | undefined
  let repeatedOn: OpenSession<Client> | undefined
  let refreshedOn: OpenSession<Client> | undefined
  // a call of which a request may have been executed is never reported as one that was not
  const orUnknown = (error: CallError) => unknown ?? error
  /** an answer is the truth, whatever came before it */
  const isAnswer = (error: CallError) => error._tag === "CallFailed" && error.reason === undefined
  const settle = (truth: CallError) => Effect.fail(isAnswer(truth) ? truth : orUnknown(truth))

  while (true) {
    if (!run) {
      const open = yield* Effect.mapError(ready(kept, deadline), orUnknown)
      const ended: Ended<A> = yield* runOnce(kept, open, callback, supervisor.now())
      if (ended._tag === "Ok") return ended.value
      run = { open, ended }
    }
    const { ended, open } = run
    const { again, doubt, reason, truth } = judge(kept, open, ended, options)
    if (truth._tag === "OutcomeUnknown") unknown = truth
    run = undefined
    runs++

    if (runs === maxRuns) {
      if (doubt) supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
      return yield* settle(truth)
    }
    if (again && doubt === "auth" && refreshedOn !== open) {
      refreshedOn = open
      const left = Duration.millis(Math.max(0, deadline - supervisor.now()))
      const read = yield* Effect.timeoutOption(open.session.refresh, left)
      if (Option.isNone(read)) return yield* settle(truth)
    } else if (!again) {
      if (doubt) supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
      return yield* settle(truth)
    } else if (doubt) {
      const isDecided = yield* awaitDecision(kept, open, deadline, doubt, reason)
      if (!isDecided) return yield* Effect.fail(orUnknown(unavailable(kept)))
      // the session is well: the failure was the call's own, unless the transport failed, which is tried once more
      if (supervisor.current() === open) {
        if (doubt !== "transport" || repeatedOn === open) return yield* settle(truth)
        repeatedOn = open
      }
    }
    settling.replayed = true
  }
})

const outcomeOf = (error: CallError): CallOutcome => {
  switch (error._tag) {
    case "CallFailed":
      return "failed"
    case "OutcomeUnknown":
      return "outcome_unknown"
    case "SessionUnavailable":
    case "CallRejected":
      return "rejected"
  }
}

/** What the requests had come to when the session ended: the closing of the session changes the records. */
const snapshot = (requests: ReadonlyArray<RequestRecord>): ReadonlyArray<RequestRecord> =>
  requests.map((request) => ({ ...request }))

const never = new AbortController().signal
