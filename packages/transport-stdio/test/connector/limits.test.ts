/** How much may be said at once, and how much may be under way. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { connectorOf, eventually, measured, open, promise } from "./support.ts"

/** A server whose every answer is long: 4 KB. */
const longWinded = `
const long = "x".repeat(4000)
const results = {
  initialize: { protocolVersion: "2025-11-25", capabilities: { tools: {} }, serverInfo: { name: "long", version: "1" } },
  ping: { _meta: { long } },
  "tools/list": { tools: [{ name: "long", description: long, inputSchema: { type: "object" } }] },
  "tools/call": { content: [{ type: "text", text: long }] }
}
require("node:readline").createInterface({ input: process.stdin }).on("line", (line) => {
  const { id, method } = JSON.parse(line)
  if (id !== undefined) console.log(JSON.stringify({ jsonrpc: "2.0", id, result: results[method] }))
})`

promise(
  "an answer to a probe that is longer than probeBytes is a failed probe; calls and the list of tools may be longer",
  () =>
    Effect.gen(function* () {
      const server = { command: process.execPath, args: ["-e", longWinded] }
      const { host, session } = yield* open(connectorOf(server, { limits: { probeBytes: 1024 } }))
      const exceeded = {
        _tag: "TransportFailure",
        reason: "overflow",
        detail: { summary: "The answer is longer than limits.probeBytes", output: [] }
      }
      expect(yield* session.probe({ _tag: "ping" })).toEqual(exceeded)
      expect(yield* session.probe({ _tag: "tool", name: "long", arguments: {} })).toEqual(exceeded)
      expect(yield* session.probe({ _tag: "list-tools" })).toEqual({ _tag: "Answered" })
      expect((yield* session.list("tools")).map(({ name }) => name)).toEqual(["long"])
      yield* Effect.promise(() => session.call().client.callTool({ name: "long" }))
      expect(host.losses).toEqual([])
      const other = yield* open(connectorOf(server))
      expect(yield* other.session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
    })
)

promise("2,000 calls under way at a kill all fail, sent or not, without holding up the process", () =>
  Effect.gen(function* () {
    const server = yield* StdioServers.scripted()
    const { close, group, host, session } = yield* open(connectorOf(server))
    ProcessGroups.signal(group, "SIGSTOP")
    const failures: Array<unknown> = []
    const calls = Array.from({ length: 2000 }, () => {
      const call = session.call()
      const made = call.client.callTool(server.slow(60)).catch((error: unknown) => failures.push(error))
      return { ...call, made }
    })
    // The last of them wait for the server to read, and were never sent.
    const fates = () => new Set(calls.map(({ requests }) => requests[0]?.fate))
    yield* eventually(() => fates().has("dispatched"))
    const before = process.cpuUsage()
    ProcessGroups.signal(group, "SIGKILL")
    yield* eventually(() => host.losses.length === 1, "the loss")
    yield* close
    yield* Effect.promise(() => Promise.all(calls.map(({ made }) => made)))
    const { system, user } = process.cpuUsage(before)
    measured("2,000 calls that lose their server, CPU", (system + user) / 1000)
    expect(failures).toHaveLength(2000)
    expect(calls.every(({ requests }) => requests[0]?.evidence?._tag === "TransportFailure")).toBe(true)
    expect((system + user) / 1000).toBeLessThan(500)
  })
)
