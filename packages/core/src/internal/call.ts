/**
 * One use of a backend: on which session the callback runs, what its end means, and whether it may be run again.
 *
 * At most once: the callback is run again only if every request that it made so far was unsent, refused before
 * dispatch, or replayable. Otherwise its caller gets the truth, `OutcomeUnknown`.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { CallRejected, type CallError, SessionReplaced, SessionUnavailable } from "../BackendError.ts"
import { admission, reasonOf } from "../ConnectionState.ts"
import { type RequestRecord, traceparent } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { CallOutcome } from "../KeepaliveEvent.ts"
import { isProbed } from "../Probe.ts"
import type { Doubt } from "../Signal.ts"
import { type Ended, judge, type Kept, type Unfinished, type UseOptions } from "./judgement.ts"
import { type CallInFlight, isUsable, type OpenSession } from "./sessionCell.ts"
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
      const call = open.session.call(traceparent(span))
      // A controller costs as much as the rest of the guard: a callback that names the client alone gets none.
      const controller = callback.length === 1 ? undefined : new AbortController()
      /** whatever else the callback has begun: it must not go on beside the next run */
      const end = () => {
        call.end()
        controller?.abort()
      }
      const entry: CallInFlight = {
        startedAt,
        abandon: (reason) => {
          resume(Effect.succeed({ _tag: "Abandoned", reason, requests: snapshot(call.requests) }))
          end()
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
      const threw = (cause: unknown) => {
        settle({ _tag: "Threw", cause, requests: snapshot(call.requests) })
        end()
      }
      try {
        callback(call.client, controller?.signal ?? never).then((value) => settle({ _tag: "Ok", value }), threw)
      } catch (cause) {
        threw(cause)
      }
      return Effect.sync(() => {
        leave()
        end()
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

/** Reads the credentials of the session again; false if that takes longer than there is time. */
const refreshed = <Client>(
  { supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  deadline: number
): Effect.Effect<boolean> =>
  Effect.map(
    Effect.timeoutOption(open.refresh, Duration.millis(Math.max(0, deadline - supervisor.now()))),
    Option.isSome
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
        ended._tag === "Ok"
          ? Effect.succeed(ended.value)
          : proceed(kept, callback, options, settling, { open, startedAt: now, ended })
      )
    }
    const call = announced(kept, settling, begin())
    return kept.policy.spans ? Tracing.call(kept.id, call) : call
  })

/** Tells how the call ends, if anybody listens. */
const announced = <Client, A, E extends CallError | SessionReplaced>(
  kept: Kept<Client>,
  settling: Settling,
  call: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  kept.supervisor.announcer.isHeard()
    ? Effect.tap(announcedFailure(kept, call), () => settled(kept, settling.replayed ? "replayed" : "ok"))
    : call

const announcedFailure = <Client, A, E extends CallError | SessionReplaced>(
  kept: Kept<Client>,
  call: Effect.Effect<A, E>
): Effect.Effect<A, E> => Effect.tapError(call, (error) => settled(kept, outcomeOf(error)))

const settled = <Client>({ supervisor: { announcer } }: Kept<Client>, outcome: CallOutcome) =>
  Effect.sync(() => announcer.emit({ _tag: "CallSettled", outcome }))

/** The session to which several calls are bound. Where there is none, it is as if one of them had been rejected. */
export const sessionToPin = <Client>(
  kept: Kept<Client>
): Effect.Effect<OpenSession<Client>, SessionUnavailable | CallRejected> =>
  Effect.suspend(() => announcedFailure(kept, ready(kept, deadlineOf(kept))))

/** When a call that begins now has waited long enough. */
const deadlineOf = <Client>({ policy, supervisor }: Kept<Client>) =>
  supervisor.now() + Duration.toMillis(policy.waitForSession)

/** A call on this session or not at all. */
export const useOn = <Client, A>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>
): Effect.Effect<A, CallError | SessionReplaced> =>
  Effect.suspend(() => {
    const told = announced(kept, { replayed: false }, proceedOn(kept, open, callback))
    return kept.policy.spans ? Tracing.call(kept.id, told) : told
  })

const proceedOn = Effect.fnUntraced(function* <Client, A>(
  kept: Kept<Client>,
  open: OpenSession<Client>,
  callback: Callback<Client, A>
): Effect.fn.Return<A, CallError | SessionReplaced> {
  const { id, supervisor } = kept
  const deadline = deadlineOf(kept)
  const replaced = Effect.suspend(() => Effect.fail(new SessionReplaced({ backend: id, generation: open.generation })))
  const isAsked = supervisor.current() === open && isStale(kept, open, supervisor.now())
  if (isAsked && !(yield* awaitDecision(kept, open, deadline, "stale", "timeout"))) {
    return yield* Effect.fail(unavailable(kept))
  }
  for (let isFirst = true; ; isFirst = false) {
    if (!isUsable(open)) return yield* replaced
    const startedAt = supervisor.now()
    const ended: Ended<A> = yield* runOnce(kept, open, callback, startedAt)
    if (ended._tag === "Ok") return ended.value
    const { again, doubt, reason, truth } = judge(kept, open, ended, {})
    if (isFirst && again && doubt === "auth" && supervisor.current() === open) {
      if (open.seen.credentials > startedAt || (yield* refreshed(kept, open, deadline))) continue
    }
    if (doubt) supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
    return yield* truth._tag === "SessionUnavailable" ? replaced : Effect.fail(truth)
  }
})

/** A call that ends every session on which it runs must not go on to do so (the bound of the AWS SDKs' standard mode). */
const maxRuns = 3

interface Settling {
  replayed: boolean
}

interface Run<Client> {
  readonly open: OpenSession<Client>
  readonly startedAt: number
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
  const { supervisor } = kept
  const deadline = deadlineOf(kept)
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
      const startedAt = supervisor.now()
      const ended: Ended<A> = yield* runOnce(kept, open, callback, startedAt)
      if (ended._tag === "Ok") return ended.value
      run = { open, startedAt, ended }
    }
    const { ended, open, startedAt } = run
    const { again, doubt, reason, truth } = judge(kept, open, ended, options)
    if (truth._tag === "OutcomeUnknown") unknown = truth
    run = undefined
    runs++

    if (runs === maxRuns) {
      if (doubt) supervisor.send({ _tag: "Doubt", generation: open.generation, doubt, reason })
      return yield* settle(truth)
    }
    if (again && doubt === "auth" && refreshedOn !== open && supervisor.current() === open) {
      refreshedOn = open
      // whoever came first has read them for all
      if (open.seen.credentials <= startedAt && !(yield* refreshed(kept, open, deadline))) return yield* settle(truth)
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

const outcomeOf = (error: CallError | SessionReplaced): CallOutcome => {
  switch (error._tag) {
    case "CallFailed":
      return "failed"
    case "OutcomeUnknown":
      return "outcome_unknown"
    case "SessionUnavailable":
    case "CallRejected":
    case "SessionReplaced":
      return "rejected"
  }
}

/** What the requests had come to: what ends the call or its session changes the records. */
const snapshot = (requests: ReadonlyArray<RequestRecord>): ReadonlyArray<RequestRecord> =>
  requests.map((request) => ({ ...request }))

const never = new AbortController().signal
