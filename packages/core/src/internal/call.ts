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
import type { CallError, SessionReplaced } from "../BackendError.ts"
import type { RequestRecord } from "../Connector.ts"
import { admission } from "../ConnectionState.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { CallOutcome } from "../KeepaliveEvent.ts"
import { isCallError } from "./errors.ts"
import { cleared, type Ended, isAnswer, judge, told, type Unfinished, type UseOptions } from "./judgement.ts"
import type { Place } from "./limit.ts"
import { admitted, turn } from "./queueing.ts"
import { type Callback, Run, runOnce } from "./run.ts"
import type { OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"
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
export const use = <Client, A, E, R>(
  supervisor: Supervisor<Client>,
  callback: Callback<Client, A, E, R>,
  options: UseOptions = {}
): Effect.Effect<A, CallError | E, R> => {
  const call = Effect.callback<A, CallError | E, R>((resume) => {
    const open = supervisor.current
    const startedAt = supervisor.now()
    const settling = supervisor.announcer.isHeard ? new Settling(supervisor, startedAt) : undefined
    // a backend that is known to be bad is spared every further step
    if (!open && admission(supervisor.state) === "reject") {
      const error = rejected(supervisor)
      settling?.settled(outcomeOf(error), error.reason)
      return resume(Effect.fail(error))
    }
    if (supervisor.limit !== undefined) {
      const limited = admitted(supervisor, (place) => proceed(supervisor, callback, options, settling, place))
      return resume(settling === undefined ? limited : settling.announcing(limited))
    }
    const goOn = (first: First<Client, E> | undefined) => {
      const proceeding = proceed(supervisor, callback, options, settling, undefined, first)
      resume(settling === undefined ? proceeding : settling.announcing(proceeding))
    }
    if (!open || isStale(supervisor, open, startedAt)) return goOn(undefined)
    supervisor.replays?.called(startedAt)
    const done = (ended: Ended<A, E>) => {
      if (ended._tag !== "Ok") return goOn({ open, startedAt, ended })
      settling?.settled("ok")
      resume(Effect.succeed(ended.value))
    }
    let run: Run<Client, A, E>
    try {
      run = new Run<Client, A, E>(supervisor, open, startedAt, settling, done)
    } catch (defect) {
      // a transport that throws as it is asked for a call
      settling?.settled("failed")
      throw defect
    }
    run.begin(callback)
    return settling === undefined ? run.interrupted : Effect.ensuring(run.interrupted, settling.interrupted)
  })
  return supervisor.policy.spans ? Tracing.call(supervisor.id, call) : call
}

/** Tells of a call, if anybody listens: that it has begun, and once how it has ended. */
export class Settling {
  readonly #supervisor: Supervisor<unknown>
  readonly #startedAt: number
  #isSettled = false
  /** of the requests of its last run */
  #method: string | undefined
  replayed = false

  constructor(supervisor: Supervisor<unknown>, startedAt: number) {
    this.#supervisor = supervisor
    this.#startedAt = startedAt
    supervisor.announcer.emit({ _tag: "CallStarted" })
  }

  settled(outcome: CallOutcome, reason?: FailureReason): void {
    if (this.#isSettled) return
    this.#isSettled = true
    const duration = Duration.millis(this.#supervisor.now() - this.#startedAt)
    const { replayed } = this
    const method = this.#method
    this.#supervisor.announcer.emit({ _tag: "CallSettled", outcome, reason, method, replayed, duration })
  }

  /** A run of its callback has ended. */
  ran(requests: ReadonlyArray<RequestRecord>): void {
    this.#method = methodOf(requests)
  }

  /** its caller waits no longer */
  get interrupted(): Effect.Effect<void> {
    return Effect.sync(() => this.settled("failed"))
  }

  announcing<A, E, R>(call: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.onExit(call, (exit) => Effect.sync(() => this.#ended(exit)))
  }

  /** What an effect of the user's fails with or dies of is a failure of the call, and so is its interruption. */
  #ended(exit: Exit.Exit<unknown, unknown>): void {
    if (Exit.isSuccess(exit)) return this.settled("ok")
    const error = Cause.squash(exit.cause)
    if (!isCallError(error)) return this.settled("failed")
    this.settled(outcomeOf(error), "reason" in error ? error.reason : undefined)
  }
}

/** A call that ends every session on which it runs must not go on to do so (the bound of the AWS SDKs' standard mode). */
const maxRuns = 3

/** A run that did not succeed. */
interface First<Client, E> {
  readonly open: OpenSession<Client>
  readonly startedAt: number
  readonly ended: Unfinished<E>
}

/** What follows a run that did not succeed, or the lack of a session to run on. */
const proceed = Effect.fnUntraced(function* <Client, A, E, R>(
  supervisor: Supervisor<Client>,
  callback: Callback<Client, A, E, R>,
  options: UseOptions,
  settling: Settling | undefined,
  place: Place | undefined,
  first?: First<Client, E>
): Effect.fn.Return<A, CallError | E, R> {
  let deadline = deadlineOf(supervisor)
  let run = first
  let runs = 0
  let unknown: CallError | undefined
  let repeatedOn: OpenSession<Client> | undefined
  /** what it was sent again for, which is done once */
  const resent = { session: false, auth: false }
  // a call of which a request may have been executed is never reported as one that was not
  const orUnknown = (error: CallError) => unknown ?? error
  const settle = (truth: CallError, ended: Unfinished<E>): Effect.Effect<never, CallError | E> => {
    if (truth._tag === "OutcomeUnknown") unknown = truth
    return isAnswer(truth) ? told(truth, ended) : Effect.fail(orUnknown(truth))
  }

  while (true) {
    if (!run) {
      const isFirst = place !== undefined && !place.isRunning
      const open = yield* Effect.mapError(isFirst ? turn(supervisor, place) : ready(supervisor, deadline), orUnknown)
      const startedAt = supervisor.now()
      if (isFirst) deadline = deadlineOf(supervisor)
      if (runs === 0) supervisor.replays?.called(startedAt)
      const ended: Ended<A, E> = yield* runOnce(supervisor, open, callback, startedAt, settling)
      if (ended._tag === "Ok") return ended.value
      run = { open, startedAt, ended }
    }
    const { ended, open, startedAt } = run
    const judged = judge(supervisor, open, ended, options)
    const { doubt, truth } = judged
    if (truth._tag === "OutcomeUnknown") unknown = truth
    run = undefined
    runs++
    const mayRunAgain = judged.again && runs < maxRuns
    // other credentials are a reason to send a call once more, and none that comes again and again
    const budget = judged.isSeen && doubt !== "auth" ? supervisor.replays : undefined
    // whether a session is lost at all is found out first
    const isSpared = budget?.spares(open.stableSince, supervisor.now()) ?? true
    const again = mayRunAgain && (doubt === "session" || isSpared || (budget?.allows(supervisor.now()) ?? true))
    if (mayRunAgain && !again) supervisor.emit({ _tag: "ReplayDenied" })

    if (doubt === undefined) {
      if (!again) return yield* settle(truth, ended)
    } else if (doubt === "auth") {
      const isOther = again && !resent.auth && (yield* hasOtherCredentials(supervisor, open, startedAt, deadline))
      if (!isOther) {
        if (judged.again) yield* awaitDecision(supervisor, open, deadline, judged)
        else castDoubt(supervisor, open, judged)
        return yield* settle(truth, ended)
      }
      resent.auth = true
    } else if (again || doubt === "session") {
      const isDecided = yield* awaitDecision(supervisor, open, deadline, judged)
      if (!isDecided) return yield* again ? Effect.fail(orUnknown(unavailable(supervisor))) : settle(truth, ended)
      const isWell = supervisor.isOpen(open)
      if (doubt === "session") {
        // of a session that is well, the refusal was the call's own
        if (!again || isWell || resent.session) return yield* settle(isWell ? cleared(truth) : truth, ended)
        resent.session = true
      } else if (isWell) {
        // where the transport failed although the session is well, it is tried once more
        if (repeatedOn === open) return yield* settle(truth, ended)
        repeatedOn = open
      }
    } else {
      castDoubt(supervisor, open, judged)
      return yield* settle(truth, ended)
    }
    if (!(isSpared && !supervisor.isOpen(open)) && budget?.take(supervisor.now()) === false) {
      // others have used up what was left, while it was decided
      supervisor.emit({ _tag: "ReplayDenied" })
      return yield* settle(truth, ended)
    }
    if (settling !== undefined) settling.replayed = true
  }
})

/** The method of all requests, where there is one. */
const methodOf = (requests: ReadonlyArray<RequestRecord>): string | undefined => {
  const [first] = requests
  for (const { method } of requests) if (method !== first?.method) return undefined
  return first?.method
}

export const outcomeOf = (error: CallError | SessionReplaced): CallOutcome => {
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
