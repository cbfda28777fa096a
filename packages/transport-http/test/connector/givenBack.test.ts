/** The connections that calls may take are given back, and taken once for each: however a call went on. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Fiber, Option } from "effect"
import type { IncomingMessage, ServerResponse } from "node:http"
import { HttpConnector } from "../../src/index.ts"
import { metadataAt } from "./authorizing.ts"
import { eventually, initializeResult, open, run, serve } from "./support.ts"

/** Six for calls, and two for all else. */
const limits = { connections: 8 }
const forCalls = 6

const json = { "content-type": "application/json" }
const sse = { "content-type": "text/event-stream" }
const answer = (id: unknown) => JSON.stringify({ jsonrpc: "2.0", id, result: { content: [], tools: [] } })

/** A server whose streams that are resumed, and whose answers to calls, are the test's. */
const scripted = (
  onResume: (response: ServerResponse, after: string, request: IncomingMessage) => void,
  onCall: (response: ServerResponse, id: unknown, request: IncomingMessage) => void = (response, id) =>
    response.writeHead(200, json).end(answer(id))
) =>
  serve((request, body, response) => {
    const after = request.headers["last-event-id"]
    if (request.method === "GET" && typeof after === "string") return onResume(response, after, request)
    if (request.method !== "POST") return response.writeHead(request.method === "DELETE" ? 200 : 405).end()
    const { id, method } = JSON.parse(body)
    if (id === undefined) return response.writeHead(202).end()
    if (method !== "initialize") return onCall(response, id, request)
    response.writeHead(200, { ...json, "mcp-session-id": "one" }).end(initializeResult(id))
  })

describe("a connection", { timeout: 20_000 }, () => {
  it.live("of a request that is continued by its token is given back with the answer", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response) => response.writeHead(200, sse).end(`data: ${answer(99)}\n\n`))
      const { session } = yield* open(HttpConnector.make({ url: server.url, limits }))
      for (let nth = 0; nth < 2 * forCalls; nth++) {
        const { result } = yield* run(session, (client) =>
          client.callTool({ name: "x" }, undefined, { resumptionToken: `token-${nth}` })
        ).pipe(Effect.timeout("5 seconds"))
        assert.isTrue(Exit.isSuccess(result))
      }
    }).pipe(Effect.scoped)
  )

  it.live("on which an answer is resumed ends when nobody waits for that, also before the server has answered", () =>
    Effect.gen(function* () {
      let waiting = 0
      let ended = 0
      const server = yield* scripted(
        (_, _after, { socket }) => {
          waiting++
          socket.on("close", () => ended++)
        },
        (response) => {
          response.writeHead(200, sse).write("id: 1\ndata: \n\n", () => response.destroy())
        }
      )
      const { session } = yield* open(HttpConnector.make({ url: server.url, limits }))
      for (let nth = 1; nth <= 2 * forCalls; nth++) {
        const call = yield* Effect.forkChild(
          run(session, (client, signal) => client.callTool({ name: "x" }, undefined, { signal }))
        )
        yield* eventually(() => waiting === nth)
        yield* Fiber.interrupt(call)
        yield* eventually(() => ended === nth)
      }
    }).pipe(Effect.scoped)
  )

  it.live("is asked to go on after an event by the bytes that its id came in", () =>
    Effect.gen(function* () {
      const asked: Array<string> = []
      const server = yield* scripted(
        (response, after) => {
          asked.push(Buffer.from(after, "latin1").toString("utf8"))
          response.writeHead(200, sse).end(`data: ${answer(99)}\n\n`)
        },
        () => {}
      )
      const { session } = yield* open(HttpConnector.make({ url: server.url }))
      for (const token of ["é1", "日1"]) {
        const { result } = yield* run(session, (client) =>
          client.callTool({ name: "x" }, undefined, { resumptionToken: token })
        )
        assert.isTrue(Exit.isSuccess(result))
      }
      assert.deepStrictEqual(asked, ["é1", "日1"])
    }).pipe(Effect.scoped)
  )
})

/** A provider of tokens, of which the server wants the second. */
const provider = () => {
  let tokens = { access_token: "1", token_type: "Bearer", refresh_token: "refresh" }
  return {
    redirectUrl: "http://127.0.0.1:1/callback",
    clientMetadata: { redirect_uris: ["http://127.0.0.1:1/callback"] },
    clientInformation: () => ({ client_id: "client" }),
    tokens: () => tokens,
    saveTokens: (saved: { readonly access_token: string }) => void (tokens = { ...tokens, ...saved }),
    redirectToAuthorization: () => {},
    saveCodeVerifier: () => {},
    codeVerifier: () => ""
  }
}

/** A server that from some time on wants another token; what comes with that one is answered after so many milliseconds, and `refuse` ends a refusal. */
const expiring = (takes: number, refuse: (response: ServerResponse) => void) =>
  Effect.gen(function* () {
    const state = { wanted: "1", underWay: 0, most: 0 }
    let origin = ""
    const server = yield* serve((request, body, response) => {
      const { authorization } = request.headers
      const metadata = metadataAt(request.url, origin)
      if (metadata !== undefined) return response.writeHead(200, json).end(JSON.stringify(metadata))
      if (request.url === "/token")
        return response.writeHead(200, json).end(JSON.stringify({ access_token: "2", token_type: "Bearer" }))
      if (request.method !== "POST") return response.writeHead(request.method === "DELETE" ? 200 : 405).end()
      const { id, method } = JSON.parse(body)
      if (id === undefined) return response.writeHead(202).end()
      if (authorization !== `Bearer ${state.wanted}`)
        return refuse(response.writeHead(401, { "www-authenticate": "Bearer" }))
      if (method === "initialize")
        return response.writeHead(200, { ...json, "mcp-session-id": "one" }).end(initializeResult(id))
      state.most = Math.max(state.most, ++state.underWay)
      response.on("close", () => state.underWay--)
      setTimeout(() => response.writeHead(200, json).end(answer(id)), takes)
    })
    origin = server.url.replace("/mcp", "")
    return { ...server, state }
  })

describe("a request that is sent again with another token", { timeout: 20_000 }, () => {
  it.live("is answered, also where the refusal of the first never ended", () =>
    Effect.gen(function* () {
      // longer than the rest of a refusal is read
      const server = yield* expiring(600, (response) => void response.write("never ends"))
      const { session } = yield* open(HttpConnector.make({ url: server.url, authProvider: provider() }))
      server.state.wanted = "2"
      const probed = yield* Effect.timeoutOption(session.probe({ _tag: "ping" }), "5 seconds")
      assert.deepStrictEqual(probed, Option.some({ _tag: "Answered" }))
    }).pipe(Effect.scoped)
  )

  it.live("keeps its connection meanwhile: no more than the limit are under way", () =>
    Effect.gen(function* () {
      const server = yield* expiring(50, (response) => void response.end())
      const { session } = yield* open(HttpConnector.make({ url: server.url, limits, authProvider: provider() }))
      server.state.wanted = "2"
      const listed = Array.from({ length: 40 }, () => Effect.promise(() => session.client.listTools()))
      yield* Effect.all(listed, { concurrency: "unbounded" }).pipe(Effect.timeout("10 seconds"))
      assert.strictEqual(server.state.most, forCalls)
    }).pipe(Effect.scoped)
  )
})
