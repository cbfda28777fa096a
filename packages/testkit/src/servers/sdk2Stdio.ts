/**
 * A server on SDK 2.x over stdio: `node sdk2Stdio log program`. The file `program` is what it is at this start, as JSON: its `era`
 * (`modern`: MCP 2026-07-28 alone; `legacy`: what came before alone; `dual`: both), and for how many milliseconds it does nothing
 * (`startDelay`).
 */
import { serveStdio, StdioServerTransport } from "@modelcontextprotocol/server/stdio"
import { appendFileSync, readFileSync } from "node:fs"
import { setTimeout as sleep } from "node:timers/promises"
import type { Entry } from "../internal/executionLog.ts"
import * as Tools from "./sdk2Tools.ts"

const [log = "/dev/null", program = ""] = process.argv.slice(2)
const started: Entry = { started: process.pid }
appendFileSync(log, `${JSON.stringify(started)}\n`)
const { era, startDelay = 0 }: { readonly era: string; readonly startDelay?: number } = JSON.parse(
  readFileSync(program, "utf8")
)

const make = () =>
  Tools.make(log, (server) => {
    server.sendToolListChanged()
    void server.server.sendResourceUpdated({ uri: "note://1" })
  })

await sleep(startDelay)
if (era === "legacy") await make().connect(new StdioServerTransport())
else serveStdio(make, { legacy: era === "modern" ? "reject" : "serve" })
