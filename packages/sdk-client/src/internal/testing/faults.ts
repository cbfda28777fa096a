/**
 * What a test has the server do, to all of its sessions.
 */
import { Evidence, type FailureReason } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"

/** For which reasons connecting can fail. */
export type Refusal = Extract<
  FailureReason.FailureReason,
  "refused" | "dns" | "tls" | "auth" | "busy" | "http_4xx" | "http_5xx" | "protocol"
>

/** See the module. */
export interface Faults {
  /** nothing is read, and nothing that was said arrives */
  frozen: boolean
  /** what connecting fails with */
  refusal: Evidence.Evidence | undefined
  /** how long every answer takes, in milliseconds */
  latency: number
  /** the tools of which the next answer is lost, one each; `undefined`: of any */
  readonly dropped: Array<string | undefined>
}

/** None. */
export const none = (): Faults => ({ frozen: false, refusal: undefined, latency: 0, dropped: [] })

/** Ends all of them. */
export const clear = (faults: Faults): void => {
  Object.assign(faults, { ...none(), dropped: faults.dropped })
  faults.dropped.length = 0
}

/** Whether the answer to a call of this tool is to be lost: then the fault has been used up. */
export const takeDropped = ({ dropped }: Faults, tool: string | undefined): boolean => {
  const at = dropped.findIndex((name) => name === undefined || name === tool)
  if (at !== -1) dropped.splice(at, 1)
  return at !== -1
}

/** What a real transport sees where connecting fails for that reason. */
export const evidenceOf = (reason: Refusal, retryAfter: Duration.Input | undefined): Evidence.Evidence => {
  const status = statuses[reason]
  if (status !== undefined)
    return Evidence.refused({
      status,
      withSession: false,
      ...(retryAfter === undefined ? {} : { retryAfter: Duration.fromInputUnsafe(retryAfter) })
    })
  const code = codes[reason]
  return code === undefined
    ? Evidence.transportFailure(reason)
    : Evidence.transportFailure(reason, { summary: code.summary, output: [] }, code.code)
}

const statuses: Readonly<Partial<Record<Refusal, number>>> = { auth: 401, http_4xx: 404, busy: 429, http_5xx: 500 }

const codes: Readonly<Partial<Record<Refusal, { readonly code: string; readonly summary: string }>>> = {
  refused: { code: "ECONNREFUSED", summary: "ECONNREFUSED on connect" },
  dns: { code: "ENOTFOUND", summary: "ENOTFOUND on getaddrinfo" },
  tls: { code: "CERT_HAS_EXPIRED", summary: "CERT_HAS_EXPIRED" }
}
