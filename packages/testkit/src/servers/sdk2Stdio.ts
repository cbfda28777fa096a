/**
 * A server on SDK 2.x over stdio: `node sdk2Stdio log program`. The file `program` is what it is at this start, as JSON: its `era`
 * (`modern`: MCP 2026-07-28 alone; `legacy`: what came before alone; `dual`: both), for how many milliseconds it does nothing
 * (`startDelay`), and how many subscriptions it has room for (`maxSubscriptions`).
 */
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio"
import { appendFileSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Entry } from "../internal/executionLog.ts"
import * as Tools from "./sdk2Tools.ts"

const [log = "/dev/null", program = ""] = process.argv.slice(2)
const started: Entry = { started: process.pid }
appendFileSync(log, `${JSON.stringify(started)}\n`)
interface Program {
  readonly era: string
  readonly startDelay?: number
  readonly maxSubscriptions?: number
}
const { era, maxSubscriptions, startDelay = 0 }: Program = JSON.parse(readFileSync(program, "utf8"))

/** What goes out: the subscriptions that are acknowledged can be ended. */
class Transport extends StdioServerTransport {
  readonly #acknowledged = new Set<string | number>()

  override send(message: Parameters<StdioServerTransport["send"]>[0]): Promise<void> {
    if ("method" in message && message.method === "notifications/subscriptions/acknowledged") {
      const id = message.params?._meta?.["io.modelcontextprotocol/subscriptionId"]
      if (typeof id === "string" || typeof id === "number") this.#acknowledged.add(id)
    }
    return super.send(message)
  }

  /** Ends every subscription: with the answer to its request, or with a cancellation of it. */
  async unlisten(how: Tools.Unlisten): Promise<void> {
    for (const id of this.#acknowledged) {
      this.#acknowledged.delete(id)
      const cancellation = {
        jsonrpc: "2.0" as const,
        method: "notifications/cancelled" as const,
        params: { requestId: id }
      }
      // as if the client had said so: the server tells of nothing more
      this.onmessage?.(cancellation)
      const _meta = { "io.modelcontextprotocol/subscriptionId": id }
      await super.send(
        how === "cancelled" ? cancellation : { jsonrpc: "2.0", id, result: { resultType: "complete", _meta } }
      )
    }
  }
}
const transport = new Transport()

const make = () =>
  Tools.make(
    log,
    (server) => {
      server.sendToolListChanged()
      void server.server.sendResourceUpdated({ uri: "note://1" })
    },
    (how) => transport.unlisten(how)
  )

await sleep(startDelay)
if (era === "legacy") await make().connect(transport)
else
  serveStdio(make, {
    transport,
    legacy: era === "modern" ? "reject" : "serve",
    ...(maxSubscriptions === undefined ? {} : { maxSubscriptions })
  })
