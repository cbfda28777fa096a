/** The modern era on the wire: what a request says outside its body, and what a refusal says inside it. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/client"
import { Evidence } from "@vmcp-keepalive/core"
import { Effect, Exit } from "effect"
import { HttpConnector } from "../../src/sdk2/index.ts"
import { makeHost, open, run, serve } from "../connector/support.ts"

type Answering = (
  asked: { readonly id: unknown; readonly method: string; readonly params: Record<string, unknown> },
  nth: number
) => {
  readonly status?: number
  readonly text?: string
  readonly result?: object
  readonly error?: object
  readonly cut?: string
}

/** A server of the modern era that answers calls as it is told; and what it was sent. */
const scripted = (answering: Answering = () => ({})) => {
  const sent: Array<{ readonly http: string; readonly headers: Record<string, unknown>; readonly body: string }> = []
  let calls = 0
  return Effect.map(
    serve((request, body, response) => {
      sent.push({ http: request.method ?? "", headers: { ...request.headers }, body })
      const asked = JSON.parse(body)
      const base = { resultType: "complete", ttlMs: 0, cacheScope: "private" }
      const {
        cut,
        error,
        result,
        status = 200,
        text
      } = asked.method === "server/discover"
        ? { result: { ...base, supportedVersions: ["2026-07-28"], capabilities: { tools: {} } } }
        : answering(asked, calls++)
      if (cut !== undefined) {
        response.writeHead(200, { "content-type": "text/event-stream" }).write(cut)
        return void setTimeout(() => response.destroy(), 20)
      }
      const answer = {
        jsonrpc: "2.0",
        id: asked.id,
        ...(error === undefined ? { result: result ?? { ...base, content: [] } } : { error })
      }
      response.writeHead(status, { "content-type": "application/json" }).end(text ?? JSON.stringify(answer))
    }),
    (server) => ({ ...server, sent })
  )
}

const start = Effect.fnUntraced(function* (answering?: Answering, options: Omit<HttpConnector.Options, "url"> = {}) {
  const server = yield* scripted(answering)
  const opened = yield* open(HttpConnector.make({ url: server.url, ...options }), makeHost())
  return { server, ...opened }
})

describe("a request of the modern era", { timeout: 20_000 }, () => {
  it.live("says in its headers what is in its body, and nothing of a session", () =>
    Effect.gen(function* () {
      const { server, session } = yield* start()
      yield* run(session, (client) => client.callTool({ name: "echo" }))
      yield* session.probe({ _tag: "discover" })
      yield* run(session, (client) => client.request({ method: "tools/list" }))
      const said = server.sent.map(({ body, headers }) => [
        headers["mcp-protocol-version"],
        headers["mcp-method"],
        headers["mcp-name"],
        headers["mcp-session-id"],
        JSON.parse(body).params._meta["io.modelcontextprotocol/protocolVersion"]
      ])
      assert.deepStrictEqual(said, [
        ["2026-07-28", "server/discover", undefined, undefined, "2026-07-28"],
        ["2026-07-28", "tools/call", "echo", undefined, "2026-07-28"],
        ["2026-07-28", "server/discover", undefined, undefined, "2026-07-28"],
        ["2026-07-28", "tools/list", undefined, undefined, "2026-07-28"]
      ])
    }).pipe(Effect.scoped)
  )

  it.live("has a name that HTTP does not allow in Base64", () =>
    Effect.gen(function* () {
      const { server, session } = yield* start()
      for (const name of ["größe", " a", "a\nb", "=?base64?YQ==?=", "a b", "a\tb"])
        yield* run(session, (client) => client.callTool({ name }))
      const names = server.sent.slice(1).map(({ headers }) => String(headers["mcp-name"]))
      assert.deepStrictEqual(names, [
        "=?base64?Z3LDtsOfZQ==?=",
        "=?base64?IGE=?=",
        "=?base64?YQpi?=",
        "=?base64?PT9iYXNlNjQ/WVE9PT89?=",
        "a b",
        "a\tb"
      ])
    }).pipe(Effect.scoped)
  )

  it.live(
    "carries the headers that its tool wants for a parameter, and none of the protocol's own in their place",
    () =>
      Effect.gen(function* () {
        const inputSchema = {
          type: "object" as const,
          properties: { region: { type: "string", "x-mcp-header": "Region" } }
        }
        const listed = { tools: [{ name: "echo", inputSchema }] }
        const { server, session } = yield* start(
          ({ method }) =>
            method === "tools/list"
              ? { result: { resultType: "complete", ttlMs: 60_000, cacheScope: "private", ...listed } }
              : {},
          { headers: { "x-mine": "yes" } }
        )
        yield* run(session, async (client) => {
          await client.listTools()
          await client.callTool(
            { name: "echo", arguments: { region: "eu" } },
            { headers: { "Mcp-Name": "other", authorization: "x" } }
          )
        })
        const headers = server.sent.at(-1)?.headers
        assert.deepInclude(headers, {
          "mcp-param-region": "eu",
          "mcp-name": "echo",
          "mcp-method": "tools/call",
          "x-mine": "yes"
        })
        assert.notProperty(headers, "authorization")
      }).pipe(Effect.scoped)
  )

  it.live("whose answer is cut is lost: nothing is resumed", () =>
    Effect.gen(function* () {
      const { server, session } = yield* start(() => ({
        cut: 'id: 1\ndata: {"jsonrpc":"2.0","method":"notifications/message"}\n\n'
      }))
      const { requests } = yield* run(session, (client) => client.callTool({ name: "echo" }))
      assert.deepInclude(requests[0], { fate: "dispatched", evidence: Evidence.transportFailure("stream_cut") })
      assert.deepStrictEqual(
        server.sent.map(({ http }) => http),
        ["POST", "POST"]
      )
    }).pipe(Effect.scoped)
  )
})

describe("a refusal in the modern era", { timeout: 20_000 }, () => {
  for (const [status, code] of [
    [404, -32601],
    [400, -32022],
    [400, -32602]
  ] as const)
    it.live(`that is an answer is one: ${status} with ${code}`, () =>
      Effect.gen(function* () {
        const { session } = yield* start(() => ({
          status,
          error: { code, message: "no", data: { supported: ["2027-01-01"] } }
        }))
        const { requests, result } = yield* run(session, (client) => client.callTool({ name: "echo" }))
        assert.isTrue(Exit.isFailure(result) && JSON.stringify(result.cause).includes(String(code)))
        assert.deepInclude(requests[0], { fate: "answered", evidence: Evidence.errorAnswer(code) })
      }).pipe(Effect.scoped)
    )

  for (const text of ["no", '{"jsonrpc":"2.0","id":null,"error":{"code":-32000,"message":"Server not initialized"}}'])
    it.live(`that answers no request is a refusal, of what may be another server: ${text.slice(0, 20)}`, () =>
      Effect.gen(function* () {
        const { session } = yield* start(() => ({ status: 400, text }))
        const { requests } = yield* run(session, (client) => client.callTool({ name: "echo" }))
        assert.deepInclude(requests[0], { fate: "refused" })
        assert.deepStrictEqual(requests[0]?.evidence, Evidence.refused({ status: 400, withSession: true }))
      }).pipe(Effect.scoped)
    )

  it.live("of the question for the era is not one of a session", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, __, response) => void response.writeHead(503, { "retry-after": "7" }).end())
      const refused = yield* Effect.flip(open(HttpConnector.make({ url: server.url }), makeHost()))
      assert.strictEqual(refused._tag === "Refused" && refused.status, 503)
      assert.strictEqual(refused._tag === "Refused" && refused.withSession, false)
    }).pipe(Effect.scoped)
  )

  it.live("with a status alone fails the attempt of a client that wants nothing else", () =>
    Effect.gen(function* () {
      const server = yield* serve((_, __, response) => void response.writeHead(404).end("<html>"))
      const client = () =>
        new Client({ name: "test", version: "1" }, { versionNegotiation: { mode: { pin: "2026-07-28" } } })
      const refused = yield* Effect.flip(open(HttpConnector.make({ url: server.url, client }), makeHost()))
      assert.deepStrictEqual(refused, Evidence.refused({ status: 404, withSession: false }))
    }).pipe(Effect.scoped)
  )
})

describe("a result without its type", { timeout: 20_000 }, () => {
  it.live("is an answer, to a call and to a question of the connector's own", () =>
    Effect.gen(function* () {
      const { session } = yield* start(() => ({ result: { content: [], tools: [] } }))
      const { requests } = yield* run(session, (client) => client.callTool({ name: "echo" }))
      assert.deepInclude(requests[0], { fate: "answered", evidence: Evidence.transportFailure("protocol") })
      assert.deepStrictEqual(yield* session.probe({ _tag: "list-tools" }), Evidence.transportFailure("protocol"))
    }).pipe(Effect.scoped)
  )
})
