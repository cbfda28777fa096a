/**
 * At most once: what a request has come to on the server, and whether making it again could execute it twice. Everything that
 * is not proven to have been left alone counts as dispatched.
 */
import * as Duration from "effect/Duration"
import type { RequestRecord } from "../Connector.ts"
import { isRedirect } from "../Evidence.ts"

/** What is known of a request, and of the call that made it. */
export interface Facts {
  readonly request: Pick<RequestRecord, "fate" | "evidence" | "refusedAfter" | "settled">
  /** the policy's `timeout`: who refuses later than that may have acted first */
  readonly timeout: Duration.Duration
  /** whether its session has ended, so that nothing more of it is sent */
  readonly ended: boolean
}

/** The fate that counts. */
export const fateOf = ({ ended, request, timeout }: Facts): RequestRecord["fate"] => {
  switch (request.fate) {
    case "unsent":
      // what the callback has left behind unsent may still be sent
      return request.settled || ended ? "unsent" : "dispatched"
    case "refused":
      return (request.refusedAfter ?? Number.POSITIVE_INFINITY) <= Duration.toMillis(timeout) ? "refused" : "dispatched"
    case "dispatched":
    case "answered":
      return request.fate
  }
}

/**
 * Whether it may be made again. `replayable`: whether executing it twice does the same as once. A redirect is never followed by
 * running the call again: 303 says that it was processed, and the others lead to where the same answer waits.
 */
export const mayRunAgain = (facts: Facts & { readonly replayable: boolean }): boolean => {
  const { evidence } = facts.request
  if (evidence?._tag === "Refused" && isRedirect(evidence)) return false
  const fate = fateOf(facts)
  return fate === "unsent" || fate === "refused" || facts.replayable
}
