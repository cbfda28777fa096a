/**
 * Why a child could not be started, in words that name no argument and no path: they may hold secrets.
 */
import { Evidence } from "@vmcp-keepalive/core"
import type { PlatformError } from "effect/PlatformError"

/** The failed attempt. */
export const evidence = (error: PlatformError): Evidence.Evidence =>
  Evidence.transportFailure("spawn", { summary: summaryOf(error), output: [] })

const summaryOf = ({ reason }: PlatformError): string => {
  const subject = reason.module === "ChildProcess" ? "the command" : "the working directory"
  switch (reason._tag) {
    case "NotFound":
      return `${subject} does not exist`
    case "PermissionDenied":
      return `${subject} may not be ${reason.module === "ChildProcess" ? "executed" : "entered"}`
    default:
      return `${subject} could not be used${codeOf(reason)}`
  }
}

/** The system's own word, such as `EMFILE`. */
const codeOf = (reason: object): string => {
  const cause = "cause" in reason ? reason.cause : undefined
  const code = typeof cause === "object" && cause !== null && "code" in cause ? String(cause.code) : ""
  return /^E[A-Z0-9]+$/.test(code) ? ` (${code})` : ""
}
