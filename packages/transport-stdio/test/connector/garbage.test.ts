/** What a server writes to stdout that does not belong there, and lines that are too long. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Cause, Effect, Exit } from "effect"
import { call, connectorOf, eventually, garbageOf, growth, measured, open, promise } from "./support.ts"

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

const answeredAs = (as: string) => ({ name: "writeAs", arguments: { as } })

promise("a line of a log that has an id is no answer to the request with that id", () =>
  Effect.gen(function* () {
    const { args, command } = StdioServers.throughShell(yield* scripted())
    const logged = `echo '{"level":"info","id":0,"msg":"the handshake has id 0"}'; ${args[1]}`
    const { host, session } = yield* open(connectorOf({ command, args: ["-c", logged] }))
    const lines = ['{"level":30,"id":$id,"msg":"order"}', '{"level":50,"id":$id,"error":"not found"}', "$answer", ""]
    expect(yield* call(session, answeredAs(lines.join("\n")))).toMatchObject({
      text: "done",
      requests: [{ fate: "answered" }]
    })
    expect(garbageOf(host)).toBe(3)
    expect(host.losses).toEqual([])
  })
)

const logging = '{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}'

for (const [where, as] of [
  ["behind a request that is logged", '[debug] <- {"method":"tools/call","id":$id} $answer\n'],
  ["behind the beginning of a request that is logged", '[debug] <- {"method":"tools/call","par… $answer\n'],
  ["before something that is logged", "$answer[debug] request served\n"],
  ["before another message", `$answer${logging}\n`],
  ["behind another message", `${logging} $answer\n`]
] as const) {
  promise(`an answer is found ${where} on the same line`, () =>
    Effect.gen(function* () {
      const notifications: Array<unknown> = []
      const client = () => {
        const made = new Client({ name: "test", version: "1" })
        made.setNotificationHandler(
          LoggingMessageNotificationSchema,
          ({ params }) => void notifications.push(params.data)
        )
        return made
      }
      const { host, session } = yield* open(connectorOf(yield* scripted(), { client }))
      expect((yield* call(session, answeredAs(as))).text).toBe("done")
      const isMessages = as.includes(logging)
      expect(garbageOf(host)).toBe(isMessages ? 0 : 1)
      yield* eventually(() => notifications.length === (isMessages ? 1 : 0), "the other message")
    })
  )
}

promise("the last line of stdout is read, also without an end", () =>
  Effect.gen(function* () {
    const answer = (id: number, result: object) => JSON.stringify({ jsonrpc: "2.0", id, result })
    const initialized = answer(0, {
      protocolVersion: "2025-11-25",
      capabilities: {},
      serverInfo: { name: "x", version: "1" }
    })
    const last = answer(1, { content: [{ type: "text", text: "done" }] })
    const dying = (end: string) => {
      const script = `read -r a; echo '${initialized}'; read -r b; read -r c; printf '%s' '${end}'`
      return open(connectorOf({ command: "sh", args: ["-c", script] }))
    }
    const answered = yield* dying(last)
    expect((yield* call(answered.session, { name: "any" })).text).toBe("done")
    const cut = yield* dying(last.slice(0, -1))
    yield* Effect.forkScoped(call(cut.session, { name: "any" }))
    yield* eventually(() => cut.host.losses.length > 0, "the loss")
    expect([garbageOf(answered.host), garbageOf(cut.host)]).toEqual([0, 1])
  })
)

const smallest = 64 * 1024

promise("an answer that is too long was answered: it fails its own call, which says why, and nothing else", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const { host, session } = yield* open(connectorOf(server, { limits: { messageBytes: smallest } }))
    const ofLength = (bytes: number) => call(session, { name: "longLine", arguments: { bytes } })
    const [long, other] = yield* Effect.all([ofLength(smallest), call(session, server.slow(0.2))], {
      concurrency: "unbounded"
    })
    expect(Exit.isFailure(long.result) && String(Cause.squash(long.result.cause))).toContain(
      "longer than limits.messageBytes"
    )
    expect(long.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
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
    expect(value.requests).toMatchObject([{ fate: "answered" }])
    measured("an answer of 60 MB", value.took)
    measured("memory grown meanwhile", grown / 1e6, "MB")
    expect(grown).toBeLessThan(32e6)
    expect((yield* call(session, server.echo("after it"))).text).toBe("Echo: after it")
  })
)

promise("an answer that is not well-formed fails its request, and a request of the server's is none of ours", () =>
  Effect.gen(function* () {
    const answers = [
      // the handshake's, then to the first call and to the second one
      '{"jsonrpc":"2.0","id":0,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}}',
      '{"jsonrpc":"2.0","id":1,"result":"text"}',
      `{"jsonrpc":"2.0","method":"ping","params":{"x":{}},"id":2}\\n{"jsonrpc":"2.0","id":2,"result":{"content":[]}}`
    ]
    const script = `read -r a; printf '%b\\n' '${answers[0]}'; read -r b; read -r c; printf '%b\\n' '${answers[1]}'; read -r d; printf '%b\\n' '${answers[2]}'; cat >/dev/null`
    const { host, session } = yield* open(connectorOf({ command: "sh", args: ["-c", script] }))
    const wrong = yield* call(session, { name: "first" })
    expect(Exit.isFailure(wrong.result) && String(Cause.squash(wrong.result.cause))).toContain("no JSON-RPC")
    expect(wrong.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "Answered" } }])
    const right = yield* call(session, { name: "second" })
    expect(Exit.isSuccess(right.result)).toBe(true)
    expect(right.requests).toMatchObject([{ fate: "answered" }])
    expect(garbageOf(host)).toBe(1)
  })
)
