/**
 * One use of a backend: on which session the callback runs, what its end means, and whether it may be run again.
 *
 * At most once: the callback is run again only if every request that it made so far was unsent, refused before
 * dispatch, or replayable. Otherwise its caller gets the truth, `OutcomeUnknown`.
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type { CallError, SessionReplaced } from "../BackendError.ts"
import { admission } from "../ConnectionState.ts"
import type { CallOutcome, Happening } from "../KeepaliveEvent.ts"
import { cleared, type Ended, judge, type Kept, type Unfinished, type UseOptions } from "./judgement.ts"
import { type Callback, runOnce, type Settling } from "./run.ts"
import type { OpenSession } from "./sessionCell.ts"
import * as Tracing from "./tracing.ts"
import {
  awaitDecision,
  castDoubt,
  deadlineOf,
  hasOtherCredentials,
  isStale,
  ready,
  rejected,
  unavailable
} from "./waiting.ts"

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
    const settling: Settling = { replayed: false, method: undefined }
    const begin = (): Effect.Effect<A, CallError> => {
      // a backend that is known to be bad is spared every further step
      if (!open && admission(supervisor.state()) === "reject") return Effect.fail(rejected(kept))
      if (!open || isStale(kept, open, now)) return proceed(kept, callback, options, settling, undefined)
      return Effect.flatMap(runOnce(kept, open, callback, now, settling), (ended) =>
        ended._tag === "Ok"
          ? Effect.succeed(ended.value)
          : proceed(kept, callback, options, settling, { open, startedAt: now, ended })
      )
    }
    const call = announced(kept, settling, now, begin())
    return kept.policy.spans ? Tracing.call(kept.id, call) : call
  })

/** Tells that the call begins and how it ends, if anybody listens. */
export const announced = <Client, A, E extends CallError | SessionReplaced>(
  { supervisor: { announcer, now } }: Kept<Client>,
  settling: Settling,
  startedAt: number,
  call: Effect.Effect<A, E>
): Effect.Effect<A, E> => {
  if (!announcer.isHeard()) return call
  announcer.emit({ _tag: "CallStarted" })
  return Effect.onExit(call, (exit) =>
    Effect.sync(() => {
      const outcome = Exit.isSuccess(exit) ? "ok" : outcomeOfCause(exit.cause)
      announcer.emit(settledAs(outcome, settling, now() - startedAt))
    })
  )
}

/** Tells of what failed as of a call, if anybody listens; of what succeeds nothing. */
export const announcedFailure = <Client, A, E extends CallError | SessionReplaced>(
  { supervisor: { announcer, now } }: Kept<Client>,
  startedAt: number,
  call: Effect.Effect<A, E>
): Effect.Effect<A, E> =>
  Effect.tapError(call, (error) =>
    Effect.sync(() => {
      announcer.emit({ _tag: "CallStarted" })
      announcer.emit(settledAs(outcomeOf(error), { replayed: false, method: undefined }, now() - startedAt))
    })
  )

const settledAs = (outcome: CallOutcome, { method, replayed }: Settling, took: number): Happening => ({
  _tag: "CallSettled",
  outcome,
  replayed,
  method,
  duration: Duration.millis(took)
})

/** A call that ends every session on which it runs must not go on to do so (the bound of the AWS SDKs' standard mode). */
const maxRuns = 3

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
  /** what it was sent again for, which is done once */
  const resent = { session: false, auth: false }
  // a call of which a request may have been executed is never reported as one that was not
  const orUnknown = (error: CallError) => unknown ?? error
  /** an answer is the truth, whatever came before it */
  const isAnswer = (error: CallError) => error._tag === "CallFailed" && error.reason === undefined
  const settle = (truth: CallError) => {
    if (truth._tag === "OutcomeUnknown") unknown = truth
    return Effect.fail(isAnswer(truth) ? truth : orUnknown(truth))
  }

  while (true) {
    if (!run) {
      const open = yield* Effect.mapError(ready(kept, deadline), orUnknown)
      const startedAt = supervisor.now()
      const ended: Ended<A> = yield* runOnce(kept, open, callback, startedAt, settling)
      if (ended._tag === "Ok") return ended.value
      run = { open, startedAt, ended }
    }
    const { ended, open, startedAt } = run
    const judged = judge(kept, open, ended, options)
    const { doubt, truth } = judged
    if (truth._tag === "OutcomeUnknown") unknown = truth
    run = undefined
    runs++
    const again = judged.again && runs < maxRuns

    if (doubt === undefined) {
      if (!again) return yield* settle(truth)
    } else if (doubt === "auth") {
      const isOther = again && !resent.auth && (yield* hasOtherCredentials(kept, open, startedAt, deadline))
      if (!isOther) {
        if (judged.again) yield* awaitDecision(kept, open, deadline, judged)
        else castDoubt(kept, open, judged)
        return yield* settle(truth)
      }
      resent.auth = true
    } else if (again || doubt === "session") {
      const isDecided = yield* awaitDecision(kept, open, deadline, judged)
      if (!isDecided) return yield* again ? Effect.fail(orUnknown(unavailable(kept))) : settle(truth)
      const isWell = supervisor.isOpen(open)
      if (doubt === "session") {
        // of a session that is well, the refusal was the call's own
        if (!again || isWell || resent.session) return yield* settle(isWell ? cleared(truth) : truth)
        resent.session = true
      } else if (isWell) {
        // where the transport failed although the session is well, it is tried once more
        if (repeatedOn === open) return yield* settle(truth)
        repeatedOn = open
      }
    } else {
      castDoubt(kept, open, judged)
      return yield* settle(truth)
    }
    settling.replayed = true
  }
})

/** One that its caller has interrupted has failed. */
const outcomeOfCause = (cause: Cause.Cause<CallError | SessionReplaced>): CallOutcome =>
  Option.match(Cause.findErrorOption(cause), { onNone: () => "failed", onSome: outcomeOf })

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
