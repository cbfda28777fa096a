/** What a server writes to stdout that does not belong there, and lines that are too long. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit } from "effect"
import { call, connectorOf, garbageOf, growth, measured, open, promise } from "./support.ts"

const { scripted } = StdioServers

for (const [where, atStart, eachAnswer] of [
  ["start", 3, 0],
  ["between", 0, 2],
  ["prefix", 0, 1]
] as const) {
  promise(`garbage (${where}) is counted to the line, and harms no answer`, () =>
    Effect.gen(function* () {
      const server = yield* scripted({ garbage: where })
      const { host, session } = yield* open(connectorOf(server))
      const messages = Array.from({ length: 20 }, (_, index) => `message ${index}`)
      const calls = yield* Effect.forEach(messages, (message) => call(session, server.echo(message)), {
        concurrency: 4
      })
      expect(calls.map(({ text }) => text)).toEqual(messages.map((message) => `Echo: ${message}`))
      // one answer more: that to the handshake
      expect(garbageOf(host)).toBe(atStart + eachAnswer * (messages.length + 1))
      expect(host.losses).toEqual([])
      expect(host.observed).toEqual([])
    })
  )
}

promise("a server without garbage is told of none", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { host, session } = yield* open(connectorOf(server))
    yield* call(session, server.echo("hello"))
    expect(host.notices).toEqual([])
  })
)

promise(
  "a million lines of garbage are counted to the line, with few events and little memory, and the answer is read",
  () =>
    Effect.gen(function* () {
      const lines = 1_000_000
      const server = yield* scripted()
      const { host, session } = yield* open(connectorOf(server))
      const { grown, value } = yield* growth(call(session, { name: "garbage", arguments: { lines } }))
      expect(value.text).toBe("done")
      measured("a million lines of garbage", value.took)
      expect(garbageOf(host)).toBe(lines)
      expect(host.notices.length).toBeLessThan(lines / 100)
      measured("memory grown meanwhile", grown / 1e6, "MB")
      expect(grown).toBeLessThan(64e6)
      expect((yield* call(session, server.echo("after it"))).text).toBe("Echo: after it")
    })
)

const smallest = 64 * 1024

promise("an answer that is too long fails its own request, with reason protocol, and nothing else", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { host, session } = yield* open(connectorOf(server, { maxLineBytes: smallest }))
    const ofLength = (bytes: number) => call(session, { name: "longLine", arguments: { bytes } })
    const [long, other] = yield* Effect.all([ofLength(smallest), call(session, server.slow(0.2))], {
      concurrency: "unbounded"
    })
    expect(Exit.isFailure(long.result)).toBe(true)
    expect(long.requests).toMatchObject([
      { fate: "dispatched", evidence: { _tag: "TransportFailure", reason: "protocol" } }
    ])
    expect(other.text).toBe("done")
    // all of a line but its text
    const around = JSON.stringify({ jsonrpc: "2.0", id: 10, result: { content: [{ type: "text", text: "" }] } }).length
    expect((yield* ofLength(smallest - around)).text).toHaveLength(smallest - around)
    expect(host.losses).toEqual([])
    expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
  })
)

promise("an answer of more than the SDK's 10 MB arrives by default, one of 60 MB fails without being kept", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { session } = yield* open(connectorOf(server))
    expect((yield* call(session, { name: "longLine", arguments: { bytes: 12_000_000 } })).text).toHaveLength(12_000_000)
    const { grown, value } = yield* growth(call(session, { name: "longLine", arguments: { bytes: 60_000_000 } }))
    expect(value.requests).toMatchObject([{ fate: "dispatched", evidence: { reason: "protocol" } }])
    measured("an answer of 60 MB", value.took)
    measured("memory grown meanwhile", grown / 1e6, "MB")
    expect(grown).toBeLessThan(32e6)
    expect((yield* call(session, server.echo("after it"))).text).toBe("Echo: after it")
  })
)

promise("an answer that is no answer fails its request, and a request of the server's is none of ours", () =>
  Effect.gen(function* () {
    const answers = [
      // the handshake's, then to the first call and to the second one
      '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}',
      '{"id":1,"result":{}}',
      `{"jsonrpc":"2.0","method":"ping","params":{"x":{}},"id":2}\\n{"jsonrpc":"2.0","id":2,"result":{"content":[]}}`
    ]
    const script = `read -r a; printf '%b\\n' '${answers[0]}'; read -r b; read -r c; printf '%b\\n' '${answers[1]}'; read -r d; printf '%b\\n' '${answers[2]}'; cat >/dev/null`
    const { host, session } = yield* open(connectorOf({ command: "sh", args: ["-c", script] }))
    const wrong = yield* call(session, { name: "first" })
    expect(Exit.isFailure(wrong.result)).toBe(true)
    expect(wrong.requests).toMatchObject([{ evidence: { reason: "protocol" } }])
    const right = yield* call(session, { name: "second" })
    expect(Exit.isSuccess(right.result)).toBe(true)
    expect(right.requests).toMatchObject([{ fate: "answered" }])
    expect(garbageOf(host)).toBe(1)
  })
)
