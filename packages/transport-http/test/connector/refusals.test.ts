/** What a server may answer instead of an answer, and what the port says of it. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Fault, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Exit } from "effect"
import { FetchHttpClient } from "effect/http"
import { HttpConnector } from "../../src/index.ts"
import { initializeResult, makeHost, openThroughProxy, run, serve } from "./support.ts"

const { Reaction } = ScriptedServer

const handlersOf = (client: object): number => {
  const handlers: unknown = Reflect.get(client, "_responseHandlers")
  return handlers instanceof Map ? handlers.size : Number.NaN
}

/** How opening a session with a URL fails. */
const failure = (url: string) =>
  Effect.flip(
    Effect.scoped(Effect.flatMap(Effect.succeed(HttpConnector.make({ url })), (made) => made.open(makeHost())))
  )

describe("a call", () => {
  const cases = [
    [
      "a page of HTML",
      Reaction.Status({ status: 200, headers: { "content-type": "text/html" }, body: "<html>" }),
      "protocol"
    ],
    ["a 202 without answer", Reaction.Status({ status: 202 }), "protocol"],
    ["invalid JSON", Reaction.InvalidJson(), "any"],
    ["an answer to another id", Reaction.WrongId(), "protocol"]
  ] as const
  for (const answers of ["sse", "json"] as const) {
    for (const [name, reaction, reason] of cases) {
      it.live(`fails at once on ${name} (${answers})`, () =>
        Effect.gen(function* () {
          const server = yield* ScriptedServer.make({ answers })
          const { session } = yield* openThroughProxy(server)
          yield* server.react("tools/call", reaction, 1)
          const { requests, result, took } = yield* run(session, (client) => client.callTool(server.echo("x")))
          expect(Exit.isFailure(result)).toBe(true)
          expect(took).toBeLessThan(500)
          const [record] = requests
          expect(record?.fate).toBe("dispatched")
          expect(record?.evidence).toMatchObject({ _tag: "TransportFailure" })
          // Garbage within a stream that then ends is a stream without its answer.
          if (reason !== "any") expect(record?.evidence).toMatchObject({ reason })
          expect(handlersOf(session.client)).toBe(0)
          // The session is as good as before.
          expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
        }).pipe(Effect.scoped)
      )
    }

    it.live(`gets an answer of one line of 5 MB (${answers})`, () =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make({ answers })
        const { session } = yield* openThroughProxy(server)
        yield* server.react("tools/call", Reaction.HugeLine({ bytes: 5_000_000 }), 1)
        const { requests, result } = yield* run(session, (client) => client.callTool(server.echo("x")))
        expect(Exit.isSuccess(result)).toBe(true)
        expect(requests).toMatchObject([{ fate: "answered" }])
      }).pipe(Effect.scoped)
    )
  }

  it.live("that is refused says so with its status, the session's part in it and Retry-After", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { session } = yield* openThroughProxy(server)
      const met = (status: number, headers: Record<string, string> = {}) =>
        Effect.gen(function* () {
          yield* server.react("tools/call", Reaction.Status({ status, headers }), 1)
          const { requests } = yield* run(session, (client) => client.callTool(server.echo("x")))
          return requests[0]
        })
      expect(yield* met(404)).toMatchObject({ fate: "refused", evidence: { status: 404, withSession: true } })
      expect(yield* met(401)).toMatchObject({ fate: "refused", evidence: { status: 401 } })
      expect(yield* met(502)).toMatchObject({ fate: "dispatched", evidence: { status: 502 } })
      expect(yield* met(429, { "retry-after": "7" })).toMatchObject({
        evidence: { status: 429, retryAfter: Duration.seconds(7) }
      })
      const dated = yield* met(503, { "retry-after": new Date(Date.now() + 60_000).toUTCString() })
      const asked = dated?.evidence?._tag === "Refused" ? dated.evidence.retryAfter : undefined
      expect(asked === undefined ? 0 : Duration.toMillis(asked)).toBeGreaterThan(50_000)
      expect(handlersOf(session.client)).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("tells an error of the server from one of our own by where it arose, not by its code", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { proxy, session } = yield* openThroughProxy(server)
      yield* server.react("tools/call", Reaction.RpcError({ code: -32000, message: "Connection closed" }), 1)
      const wire = yield* run(session, (client) => client.callTool(server.echo("x")))
      expect(wire.requests).toMatchObject([{ fate: "answered", evidence: { _tag: "ErrorAnswer", code: -32000 } }])
      yield* proxy.inject(Fault.Reset({ on: { rpc: "tools/call" }, times: 1 }))
      const local = yield* run(session, (client) => client.callTool(server.echo("x")))
      expect(local.requests).toMatchObject([
        { fate: "dispatched", evidence: { _tag: "TransportFailure", reason: "reset" } }
      ])
    }).pipe(Effect.scoped)
  )

  it.live("that found nobody listening was not sent", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { proxy, session } = yield* openThroughProxy(server)
      yield* proxy.inject(Fault.Refuse())
      const { requests } = yield* run(session, (client) => client.callTool(server.echo("x")))
      expect(requests).toMatchObject([{ fate: "unsent", evidence: { reason: "refused" } }])
      expect(handlersOf(session.client)).toBe(0)
    }).pipe(Effect.scoped)
  )

  it.live("whose JSON answer is cut fails as such", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ answers: "json" })
      const { proxy, session } = yield* openThroughProxy(server)
      yield* proxy.inject(Fault.CutMidChunk({ on: { rpc: "tools/call" }, times: 1, after: 10 }))
      const { requests } = yield* run(session, (client) => client.callTool(server.echo("x")))
      expect(requests).toMatchObject([{ fate: "dispatched", evidence: { reason: "stream_cut" } }])
    }).pipe(Effect.scoped)
  )
})

describe("opening a session", () => {
  it.live("fails with what was seen", () =>
    Effect.gen(function* () {
      const gone = yield* Effect.scoped(serve(() => {}))
      expect(yield* failure(gone.url)).toMatchObject({ reason: "refused", code: "ECONNREFUSED" })
      expect(yield* failure("http://host.invalid/mcp")).toMatchObject({ reason: "dns" })
      const server = yield* ScriptedServer.make()
      expect(yield* failure(`https://127.0.0.1:${server.port}/mcp`)).toMatchObject({ reason: "tls" })
      for (const [reaction, seen] of [
        [Reaction.Status({ status: 500 }), { _tag: "Refused", status: 500, withSession: false }],
        [Reaction.Status({ status: 401 }), { _tag: "Refused", status: 401 }],
        [
          Reaction.Status({ status: 503, headers: { "retry-after": "3" } }),
          { status: 503, retryAfter: Duration.seconds(3) }
        ],
        [
          Reaction.Status({ status: 200, headers: { "content-type": "text/html" }, body: "hi" }),
          { reason: "protocol" }
        ],
        [Reaction.RpcError({ code: -32602 }), { _tag: "ErrorAnswer", code: -32602 }],
        [Reaction.WrongId(), { reason: "protocol" }]
      ] as const) {
        yield* server.react("initialize", reaction, 1)
        expect(yield* failure(server.url)).toMatchObject(seen)
      }
      yield* server.react("notifications/initialized", Reaction.Status({ status: 502 }), 1)
      expect(yield* failure(server.url)).toMatchObject({ _tag: "Refused", status: 502 })
    }).pipe(Effect.scoped)
  )

  it.live("refuses a protocol version that the SDK does not speak", () =>
    Effect.gen(function* () {
      const server = yield* serve((_request, body, response) =>
        response
          .writeHead(200, { "content-type": "application/json" })
          .end(initializeResult(JSON.parse(body).id, "1999-01-01"))
      )
      expect(yield* failure(server.url)).toEqual({ _tag: "TransportFailure", reason: "protocol" })
    }).pipe(Effect.scoped)
  )

  it.live("leaves no socket behind when it is interrupted before a frozen server", () =>
    Effect.gen(function* () {
      const server = yield* serve(() => {})
      const attempt = Effect.scoped(HttpConnector.make({ url: server.url }).open(makeHost()))
      const began = performance.now()
      expect(yield* Effect.timeoutOption(attempt, "200 millis")).toMatchObject({ _tag: "None" })
      // a second is what the response to a handshake is waited for: it has the id of what is to be terminated
      expect(performance.now() - began).toBeLessThan(1600)
      yield* Effect.sleep("50 millis")
      expect(server.sockets()).toBe(0)
    }).pipe(Effect.scoped)
  )
})

describe("a redirect", () => {
  it.live("to another origin is not followed, and no credential and no session id goes there", () =>
    Effect.gen(function* () {
      const seen: Array<string> = []
      const other = yield* serve((request, _body, response) => {
        seen.push(`${request.method} ${JSON.stringify(request.headers)}`)
        response.writeHead(200).end()
      })
      const server = yield* ScriptedServer.make()
      const { proxy, session } = yield* openThroughProxy(server, { headers: { authorization: "Bearer secret" } })
      for (const status of [301, 302, 303, 307, 308]) {
        yield* proxy.inject(
          Fault.Answer({ on: { rpc: "tools/call" }, times: 1, status, headers: { location: other.url } })
        )
        const { requests } = yield* run(session, (client) => client.callTool(server.echo("x")))
        // 301, 302 and 303 may say that the request was processed
        const fate = status >= 307 ? "refused" : "dispatched"
        expect(requests).toMatchObject([{ fate, evidence: { _tag: "Refused", status } }])
      }
      yield* proxy.inject(
        Fault.Answer({ on: { method: "OPTIONS" }, times: 1, status: 307, headers: { location: other.url } })
      )
      expect(yield* session.probe({ _tag: "options" })).toMatchObject({ _tag: "Refused", status: 307 })
      expect(seen).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("to another origin is not followed by Effect's HttpClient on Node's fetch either", () =>
    Effect.gen(function* () {
      let reached = 0
      const other = yield* serve((_request, _body, response) => {
        reached++
        response.writeHead(200).end()
      })
      const server = yield* ScriptedServer.make()
      const fetch = yield* HttpConnector.fetchFromHttpClient
      const { proxy, session } = yield* openThroughProxy(server, { fetch, headers: { authorization: "Bearer secret" } })
      yield* proxy.inject(
        Fault.Answer({ on: { rpc: "tools/call" }, times: 1, status: 307, headers: { location: other.url } })
      )
      const { requests } = yield* run(session, (client) => client.callTool(server.echo("x")))
      expect(requests).toMatchObject([{ fate: "refused", evidence: { _tag: "Refused", status: 307 } }])
      expect(reached).toBe(0)
    }).pipe(Effect.scoped, Effect.provide(FetchHttpClient.layer))
  )

  it.live("within the origin is followed with everything", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer secret" })
      const { proxy, session } = yield* openThroughProxy(server, { headers: { authorization: "Bearer secret" } })
      yield* proxy.inject(
        Fault.Answer({ on: { rpc: "tools/call" }, times: 1, status: 307, headers: { location: "/mcp" } })
      )
      const { requests } = yield* run(session, (client) => client.callTool(server.echo("x")))
      expect(requests).toMatchObject([{ fate: "answered" }])
    }).pipe(Effect.scoped)
  )
})

describe("the settings", () => {
  it("that cannot work are issues, which repeat no value", () => {
    for (const url of ["", "nonsense://secret", "ftp://secret@host/", "/mcp", "http://user:secret@host/mcp"]) {
      const connector = HttpConnector.make({ url })
      const issues = Effect.runSync(connector.issues)
      expect(issues.map(({ path }) => path)).toEqual([["connector", "url"]])
      expect(JSON.stringify(issues)).not.toContain("secret")
    }
    const { issues: looked } = HttpConnector.make({
      url: "http://host/mcp",
      headers: { "Mcp-Session-Id": "secret", "Authorization: Bearer secret": "", good: "fine", bad: "se\ncret" }
    })
    const issues = Effect.runSync(looked)
    expect(issues.map(({ path }) => path[2])).toEqual(["Mcp-Session-Id", "#2", "bad"])
    expect(JSON.stringify(issues)).not.toContain("secret")
    expect(Effect.runSync(HttpConnector.make({ url: "https://host/mcp?key=1" }).issues)).toEqual([])
  })
})
