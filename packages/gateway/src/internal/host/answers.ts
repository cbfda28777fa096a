/**
 * What the gateway itself answers, and how errors of backends are told.
 */
import { ErrorAnswer } from "@vmcp-keepalive/host"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { Outcome } from "../lanes/lane.ts"

type RpcError = Message.ErrorAnswer["error"]

/** JSON-RPC 2.0 and MCP 2025-11-25. */
const codes = { methodNotFound: -32601, invalidParams: -32602, resourceNotFound: -32002 }

export const methodNotFound: RpcError = { code: codes.methodNotFound, message: "Method not found" }

export const invalidParams = (message: string): RpcError => ({ code: codes.invalidParams, message })

export const resourceNotFound = (uri: unknown): RpcError => ({
  code: codes.resourceNotFound,
  message: "Resource not found",
  data: { uri }
})

/** The host has as many of these as it may have; `backend` is whose one more would be. */
export const tooMany = (what: "requests under way" | "subscriptions", backend: string): RpcError => ({
  code: ErrorAnswer.codes.CallRejected,
  message: `This client has as many ${what} as it may have; nothing was executed.`,
  data: { error: "CallRejected", backend, reason: "overloaded", executed: "no" } satisfies ErrorAnswer.Data
})

/**
 * The outcome of a tool's call: where it is this project's own error, as a result that a model reads. What the server answered passes
 * untouched.
 */
export const ofTool = (outcome: Outcome): Outcome => {
  if ("result" in outcome) return outcome
  const data = isOwn(outcome.error.code) ? ErrorAnswer.dataOf(outcome.error) : undefined
  return data === undefined
    ? outcome
    : {
        result: {
          content: [{ type: "text", text: outcome.error.message }],
          isError: true,
          _meta: { "vmcp-keepalive": data }
        }
      }
}

const own: ReadonlySet<number> = new Set(Object.values(ErrorAnswer.codes))
const isOwn = (code: number): boolean => own.has(code)
