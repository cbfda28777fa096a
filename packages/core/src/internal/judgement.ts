/**
 * What the end of a run of a callback means: the error that tells the truth, and whether running it again is safe.
 */
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { CallError } from "../BackendError.ts"
import type { RequestRecord } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import { fateOf, mayRunAgain } from "./atMostOnce.ts"
import { callFailed, outcomeUnknown, sessionUnavailable } from "./errors.ts"
import type { OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"

/** What the caller knows of the call. */
export interface UseOptions {
  readonly idempotent?: boolean | undefined
}

/** How one run of a callback ended. */
export type Ended<A, E> = { readonly _tag: "Ok"; readonly value: A } | Unfinished<E>

/** What needs to be judged. */
export type Unfinished<E = unknown> =
  | {
      readonly _tag: "Threw"
      readonly cause: unknown
      /** as an effect tells it */
      readonly failure: Cause.Cause<E> | undefined
      readonly requests: ReadonlyArray<RequestRecord>
    }
  | { readonly _tag: "Abandoned"; readonly reason: FailureReason; readonly requests: ReadonlyArray<RequestRecord> }

/** Protocol methods that change nothing on a server, so that they may be sent twice. */
const readOnlyMethods: ReadonlySet<string> = new Set([
  "ping",
  "tools/list",
  "resources/list",
  "resources/templates/list",
  "resources/read",
  "prompts/list",
  "prompts/get",
  "completion/complete",
  "server/discover",
  "subscriptions/listen",
  "tasks/get",
  "tasks/list",
  "tasks/result"
])

/** What it means. */
export interface Judgement {
  /** the error that tells the truth if the call ends here */
  readonly truth: CallError
  /** whether running it again would execute nothing twice that must not be */
  readonly again: boolean
  /** whether the server may have seen a request of it, so that another run is more for it to bear */
  readonly isSeen: boolean
  readonly doubt: Evidence.Doubt | undefined
  readonly reason: FailureReason
  /** what was seen that casts the doubt */
  readonly detail: FailureDetail | undefined
}

/** Judges a run that did not succeed. */
export const judge = <Client>(
  supervisor: Supervisor<Client>,
  open: OpenSession<Client>,
  ended: Unfinished,
  options: UseOptions
): Judgement => {
  const { id, policy } = supervisor
  const { requests } = ended
  const isReplayable = (request: RequestRecord) =>
    options.idempotent === true ||
    readOnlyMethods.has(request.method) ||
    (policy.trustAnnotations && isHarmless(open, request))
  const factsOf = (request: RequestRecord) => ({
    request,
    timeout: policy.timeout,
    ended: ended._tag === "Abandoned"
  })
  const again = requests.every((request) => mayRunAgain({ ...factsOf(request), replayable: isReplayable(request) }))
  const isSeen = requests.some((request) => fateOf(factsOf(request)) !== "unsent")
  const unanswered = requests.filter((request) => fateOf(factsOf(request)) === "dispatched")
  const unknown = (reason: FailureReason, seen: Evidence.Evidence | undefined) =>
    outcomeUnknown({
      backend: id,
      generation: open.generation,
      reason,
      detail: (seen && Evidence.detailOf(seen)) ?? (open.ended === undefined ? undefined : open.detail),
      retryAfter: retryAfterOf(seen)
    })

  if (ended._tag === "Abandoned") {
    const wasTouched = unanswered.length > 0 || requests.some(({ fate }) => fate === "answered")
    const { reason } = ended
    const truth = wasTouched
      ? unknown(reason, undefined)
      : sessionUnavailable({
          backend: id,
          state: supervisor.state._tag,
          reason,
          detail: open.detail,
          retryAfter: supervisor.untilAttempt
        })
    return { truth, again, isSeen, doubt: undefined, reason, detail: undefined }
  }

  /** what the callback met last: the failure of a request, or an answer */
  const met = requests.findLast(({ evidence }) => evidence !== undefined)
  const evidence = met?.evidence
  const doubt = evidence && Evidence.ofCall(evidence)
  const reason = evidence === undefined ? "unknown" : Evidence.reasonOf(evidence)
  const detail = evidence && Evidence.detailOf(evidence)
  const cut = unanswered.findLast((request) => request.evidence !== undefined)?.evidence
  const lost = cut === undefined ? "timeout" : Evidence.reasonOf(cut)
  const failed = (reason: FailureReason | undefined) =>
    callFailed({
      backend: id,
      reason,
      code: evidence && Evidence.codeOf(evidence),
      retryAfter: retryAfterOf(evidence),
      cause: ended.cause
    })

  if (met === undefined || met.fate === "answered") {
    // the server's answer, the callback's own error, or its own deadline
    const truth = unanswered.every(isReplayable) ? failed(undefined) : unknown(lost, cut)
    return { truth, again: false, isSeen, doubt, reason, detail }
  }
  const truth = unanswered.length > 0 ? unknown(cut === undefined ? reason : lost, cut ?? evidence) : failed(reason)
  return { truth, again: again && doubt !== undefined, isSeen, doubt, reason, detail }
}

/** An answer is told in the words of the effect that got it, all else in those of this library. */
export const told = <E>(truth: CallError, ended: Unfinished<E>): Effect.Effect<never, CallError | E> =>
  isAnswer(truth) && ended._tag === "Threw" && ended.failure !== undefined
    ? Effect.failCause(ended.failure)
    : Effect.fail(truth)

/** Whether it is what the server answered, or the callback's own failure: the truth, whatever came before it. */
export const isAnswer = (error: CallError): boolean => error._tag === "CallFailed" && error.reason === undefined

const retryAfterOf = (evidence: Evidence.Evidence | undefined) =>
  evidence?._tag === "Refused" ? evidence.retryAfter : undefined

/** The truth about a call that was refused as of an unknown session, once a probe has shown that the session is well. */
export const cleared = (truth: CallError): CallError => {
  if (truth._tag === "CallFailed" && truth.reason === "session_lost") {
    const { backend, cause, code, retryAfter } = truth
    return callFailed({ backend, reason: "http_4xx", code, retryAfter, cause })
  }
  if (truth._tag === "OutcomeUnknown" && truth.reason === "session_lost") {
    const { backend, detail, generation, retryAfter } = truth
    return outcomeUnknown({ backend, generation, reason: "http_4xx", detail, retryAfter })
  }
  return truth
}

const isHarmless = (open: OpenSession<unknown>, { tool }: RequestRecord) =>
  tool !== undefined && open.tools.replayable.includes(tool)
