/**
 * Answers where a session ends under a request, or its client does not read: of this endpoint's own, in the form of all errors
 * of this library's own.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as ErrorAnswer from "../../ErrorAnswer.ts"

/** The session was ended by the host, with the request under way. */
export const ended = (backend: string, id: Message.Id): Message.Answer =>
  unknown(backend, id, `The session with the MCP server "${backend}" was ended by its host during the call`)

/** Too much was sent to the client that it has not read. */
export const unread = (backend: string, id: Message.Id): Message.Answer =>
  unknown(
    backend,
    id,
    `What the MCP server "${backend}" sent during the call was not read, and there is too much of it`
  )

/** A request of the server's that the client gave no way to be asked. */
export const undeliverable = (id: Message.Id): Message.Answer => ({
  jsonrpc: "2.0",
  id,
  error: { code: internalError, message: "The client reads nothing that it could be asked by" }
})

const internalError = -32603

const unknown = (backend: string, id: Message.Id, what: string): Message.Answer => ({
  jsonrpc: "2.0",
  id,
  error: {
    code: ErrorAnswer.codes.OutcomeUnknown,
    message: `${what}: whether it was executed is unknown, and it is not made again.`,
    data: { error: "OutcomeUnknown", backend, executed: "unknown" } satisfies ErrorAnswer.Data
  }
})
