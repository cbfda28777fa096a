/**
 * In place of the program that the Claude Agent SDK starts, as far as it speaks with the SDK: it initializes the server `kept`, lists its
 * tools, has the tool `pid`, then one that kills the server under the call, then `pid` again, and ends with what it was answered.
 */
import { createInterface } from "node:readline"

interface Line {
  readonly type: string
  readonly request_id?: string
  readonly request?: { readonly subtype: string }
  readonly response?: { readonly request_id: string; readonly response?: { readonly mcp_response?: unknown } }
}

const write = (message: object) => process.stdout.write(`${JSON.stringify(message)}\n`)
const waiting = new Map<string, (answer: unknown) => void>()
let asked = 0

/** Sends a message to the server through the SDK, and waits for what comes back. */
const say = (message: object): Promise<unknown> => {
  const request_id = `program-${asked++}`
  const request = { subtype: "mcp_message", server_name: "kept", message: { jsonrpc: "2.0", ...message } }
  write({ type: "control_request", request_id, request })
  return new Promise((resolve) => waiting.set(request_id, resolve))
}

const play = async () => {
  const params = { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "program", version: "1" } }
  await say({ id: 0, method: "initialize", params })
  await say({ method: "notifications/initialized" })
  await say({ id: 1, method: "tools/list" })
  const call = (id: number, name: string) => say({ id, method: "tools/call", params: { name, arguments: {} } })
  const answers = [await call(2, "pid"), await call(3, "kill"), await call(4, "pid")]
  write({
    type: "result",
    subtype: "success",
    is_error: false,
    result: JSON.stringify(answers),
    session_id: "s",
    uuid: "u"
  })
}

createInterface({ input: process.stdin })
  .on("line", (text) => {
    const line: Line = JSON.parse(text)
    if (line.type === "control_response" && line.response !== undefined) {
      const { request_id, response } = line.response
      waiting.get(request_id)?.(response?.mcp_response)
    }
    if (line.type !== "control_request") return
    const { request, request_id } = line
    const response = { commands: [], models: [], account: {}, agents: [] }
    write({ type: "control_response", response: { subtype: "success", request_id, response } })
    if (request?.subtype === "initialize") void play()
  })
  .on("close", () => process.exit(0))
