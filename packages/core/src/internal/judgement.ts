/**
 * What the end of a run of a callback means: the error that tells the truth, and whether running it again is safe.
 */
import { CallFailed, type CallError, OutcomeUnknown, SessionUnavailable } from "../BackendError.ts"
import type { RequestRecord } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { KeepalivePolicy } from "../KeepalivePolicy.ts"
import type { Doubt } from "../Signal.ts"
import type { OpenSession } from "./sessionCell.ts"
import type { Supervisor } from "./supervisor.ts"

/** A backend, as its calls see it. */
export interface Kept<Client> {
  readonly id: string
  readonly policy: KeepalivePolicy
  readonly supervisor: Supervisor<Client>
}

/** What the caller knows of the call. */
export interface UseOptions {
  readonly idempotent?: boolean
}

/** How one run of a callback ended. */
export type Ended<A> = { readonly _tag: "Ok"; readonly value: A } | Unfinished

/** What needs to be judged. */
export type Unfinished =
  | { readonly _tag: "Threw"; readonly cause: unknown; readonly requests: ReadonlyArray<RequestRecord> }
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
  "server/discover"
])

/** What it means. */
export interface Judgement {
  /** the error that tells the truth if the call ends here */
  readonly truth: CallError
  /** whether running it again would execute nothing twice that must not be */
  readonly again: boolean
  readonly doubt: Doubt | undefined
  readonly reason: FailureReason
}

/** Judges a run that did not succeed. */
export const judge = <Client>(
  { id, policy, supervisor }: Kept<Client>,
  open: OpenSession<Client>,
  ended: Unfinished,
  options: UseOptions
): Judgement => {
  const { requests } = ended
  const isReplayable = (request: RequestRecord) =>
    options.idempotent === true ||
    readOnlyMethods.has(request.method) ||
    (policy.trustAnnotations && isHarmless(open, request))
  // what the callback has left behind unsent may still be sent, unless the session has ended
  const isUnsent = (request: RequestRecord) =>
    request.fate === "unsent" && (request.settled || ended._tag === "Abandoned")
  const again = requests.every((request) => isUnsent(request) || request.fate === "refused" || isReplayable(request))
  const unanswered = requests.filter(
    (request) => !isUnsent(request) && request.fate !== "refused" && request.fate !== "answered"
  )
  const unknown = (reason: FailureReason) =>
    new OutcomeUnknown({ backend: id, generation: open.generation, reason, detail: open.lost })

  if (ended._tag === "Abandoned") {
    const wasTouched = unanswered.length > 0 || requests.some(({ fate }) => fate === "answered")
    const truth = wasTouched
      ? unknown(ended.reason)
      : new SessionUnavailable({
          backend: id,
          state: supervisor.state()._tag,
          reason: ended.reason,
          detail: open.lost,
          retryAfter: supervisor.untilAttempt()
        })
    return { truth, again, doubt: undefined, reason: ended.reason }
  }

  /** what the callback met last: the failure of a request, or an answer */
  const met = requests.findLast(({ evidence }) => evidence !== undefined)
  const evidence = met?.evidence
  const doubt = evidence && Evidence.ofCall(evidence)
  const reason = evidence === undefined ? "unknown" : Evidence.reasonOf(evidence)
  const cut = unanswered.findLast((request) => request.evidence !== undefined)?.evidence
  const lost = cut === undefined ? "timeout" : Evidence.reasonOf(cut)

  if (met === undefined || met.fate === "answered") {
    // the server's answer, the callback's own error, or its own deadline
    const truth = unanswered.every(isReplayable)
      ? new CallFailed({ backend: id, reason: undefined, retryAfter: undefined, cause: ended.cause })
      : unknown(lost)
    return { truth, again: false, doubt, reason }
  }
  const retryAfter = evidence?._tag === "Refused" ? evidence.retryAfter : undefined
  const truth =
    unanswered.length > 0
      ? unknown(cut === undefined ? reason : lost)
      : new CallFailed({ backend: id, reason, retryAfter, cause: ended.cause })
  return { truth, again: again && doubt !== undefined, doubt, reason }
}

const isHarmless = (open: OpenSession<unknown>, request: RequestRecord) => {
  const tool = request.tool === undefined ? undefined : open.tools.get(request.tool)
  return tool !== undefined && (tool.readOnly || tool.idempotent)
}
