/**
 * What an HTTP request asks of an endpoint of MCP's Streamable HTTP (2025-11-25), read from the request and from nothing else.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { Answer } from "./exchange.ts"

/** What is asked for: a message is handed in, the standing stream is opened, the session is ended. */
export type Method = "POST" | "GET" | "DELETE"

/** Why it is answered with an error: HTTP's status, and the JSON-RPC error in the body. */
export interface Refusal {
  readonly status: number
  readonly code: number
  readonly message: string
}

/** Whether it is a refusal. */
export const isRefusal = (value: unknown): value is Refusal => Message.isObject(value) && "status" in value

/** The most that a body may have, in bytes: as much as a message of a server's (`Limits.messageBytes`). */
export const bodyBytes = 16 * 1024 * 1024

/** Versions of the protocol that have sessions, which a client may name in a header: the one that it was told, or an older one. */
const versions: ReadonlySet<string> = new Set(["2024-10-07", "2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25"])

/** JSON-RPC's codes, and the ones that SDK servers use for the rest. */
const codes = { parseError: -32700, invalidRequest: -32600, badRequest: -32000, sessionNotFound: -32001 }

const refused = (status: number, code: number, message: string): Refusal => ({ status, code, message })

/** What cannot be taken, whatever the request. */
export const refusals = {
  method: refused(405, codes.badRequest, "Method not allowed"),
  contentType: refused(415, codes.badRequest, "Unsupported Media Type: Content-Type must be application/json"),
  accept: refused(406, codes.badRequest, "Not Acceptable: the answer is application/json or text/event-stream"),
  tooLarge: refused(413, codes.badRequest, "Content Too Large"),
  json: refused(400, codes.parseError, "Parse error: Invalid JSON"),
  batch: refused(400, codes.invalidRequest, "Invalid Request: there are no batches, one message is sent at a time"),
  message: refused(400, codes.invalidRequest, "Invalid Request: this is no message of JSON-RPC 2.0"),
  idInUse: refused(400, codes.invalidRequest, "Invalid Request: a request with this id is under way"),
  initialized: refused(400, codes.invalidRequest, "Invalid Request: this session was initialized before"),
  version: refused(400, codes.badRequest, "Bad Request: Unsupported protocol version"),
  noSession: refused(400, codes.badRequest, "Bad Request: Mcp-Session-Id header is required"),
  unknownSession: refused(404, codes.sessionNotFound, "Session not found"),
  tooMany: refused(503, codes.badRequest, "Service Unavailable: every session is in use"),
  closed: refused(503, codes.badRequest, "Service Unavailable: this endpoint was closed by its host")
} as const satisfies Record<string, Refusal>

/** Reads all but the body. */
export const readHead = (method: string, headers: Pick<Headers, "get">): Method | Refusal => {
  if (method !== "POST" && method !== "GET" && method !== "DELETE") return refusals.method
  const version = headers.get("mcp-protocol-version")
  if (version !== null && !versions.has(version)) return refusals.version
  if (method === "DELETE") return method
  const accept = headers.get("accept")
  if (!accepts(accept, "text/event-stream")) return refusals.accept
  if (method === "GET") return method
  if (!accepts(accept, "application/json")) return refusals.accept
  return mediaType(headers.get("content-type") ?? "") === "application/json" ? method : refusals.contentType
}

/** Reads the body of a POST. */
export const readBody = (text: string): Message.Message | Refusal => {
  const value = Message.parse(text)
  if (value === undefined) return refusals.json
  if (Array.isArray(value)) return refusals.batch
  return Message.of(value) ?? refusals.message
}

/** The answer that says so. */
export const refuse = ({ code, message, status }: Refusal): Answer => ({
  status,
  headers: { "content-type": "application/json", ...(status === 405 ? { allow: "POST, GET, DELETE" } : {}) },
  body: JSON.stringify({ jsonrpc: "2.0", id: null, error: { code, message } })
})

/** Whether a client takes that type; without the header it takes any (RFC 9110, section 12.5.1). */
const accepts = (accept: string | null, type: string): boolean => {
  if (accept === null) return true
  const [family] = type.split("/")
  return accept.split(",").some((range) => [type, `${family}/*`, "*/*"].includes(mediaType(range)))
}

/** The type without its parameters. */
const mediaType = (value: string): string => (value.split(";", 1)[0] ?? "").trim().toLowerCase()
