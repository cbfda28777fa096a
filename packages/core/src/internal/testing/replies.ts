/** What becomes of requests that a scripted server replies to. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type { RequestRecord } from "../../Connector.ts"
import * as Evidence from "../../Evidence.ts"
import type { Reply } from "../../testing/ScriptedServer.ts"

/** Whether the server does what it was asked. */
export const isExecuted = ({ _tag }: Reply) =>
  _tag === "Answer" || _tag === "Cut" || _tag === "Disagree" || _tag === "Silence"

/** What a request meets. */
export const meet = (reply: Reply, latency: Duration.Input, withSession: boolean): Effect.Effect<Evidence.Evidence> => {
  const after = (evidence: Evidence.Evidence) => Effect.as(Effect.sleep(latency), evidence)
  switch (reply._tag) {
    case "Answer":
      return after(Evidence.answered)
    case "Error":
      return after(Evidence.errorAnswer(reply.code))
    case "Refuse":
      return after(
        Evidence.refused({
          status: reply.status,
          withSession,
          ...(reply.retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(reply.retryAfter) })
        })
      )
    case "Unreachable":
      return after(Evidence.transportFailure(reply.reason, reply.detail, reply.code))
    case "Cut":
      return after(Evidence.transportFailure(reply.reason))
    case "Disagree":
      return after(Evidence.transportFailure("protocol"))
    case "Silence":
      return Effect.never
  }
}

/** What has become of a request that met this. */
export const fateOf = (evidence: Evidence.Evidence): RequestRecord["fate"] => {
  switch (evidence._tag) {
    case "Answered":
    case "ErrorAnswer":
      return "answered"
    case "Refused":
      return isRefusedUnexecuted(evidence.status) ? "refused" : "dispatched"
    case "TransportFailure":
      return evidence.reason === "stream_cut" || evidence.reason === "overflow" ? "dispatched" : "unsent"
  }
}

/** 4xx, and the redirects that promise that nothing was done (RFC 9110, 15.4.8 and 15.4.9) */
const isRefusedUnexecuted = (status: number) => (status >= 400 && status < 500) || status === 307 || status === 308
