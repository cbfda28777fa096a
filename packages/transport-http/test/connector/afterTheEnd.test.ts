/** Of a session that is over nothing is heard, and nothing goes on: whatever its standing stream was about to do. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/index.ts"
import { eventually, initializeResult, makeHost, open, serve } from "./support.ts"

/** A server with sessions, whose GET streams are the test's. */
const scripted = (onGet: (response: ServerResponse, nth: number) => void) => {
  const gets = { length: 0 }
  const serving = serve((request, body, response) => {
    if (request.method === "GET") return onGet(response, ++gets.length)
    if (request.method === "DELETE") return response.writeHead(200).end()
    const { id, method } = JSON.parse(body)
    if (method !== "initialize") return response.writeHead(202).end()
    response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "one" }).end(initializeResult(id))
  })
  return Effect.map(serving, (server) => ({ ...server, gets }))
}

const opened = (response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
  return response
}

/** The first stream ends, and the second request is never answered. */
const reopening = scripted((response, nth) => {
  if (nth === 1) setTimeout(() => opened(response).end(), 20)
})

const noticesOf = ({ notices }: ReturnType<typeof makeHost>) => notices.map(({ notice }) => notice)

describe("a session that is over while its standing stream", { timeout: 20_000 }, () => {
  it.live("is opened again reports no failure of that", () =>
    Effect.gen(function* () {
      const server = yield* reopening
      const host = makeHost()
      const { close } = yield* open(HttpConnector.make({ url: server.url }), host)
      yield* eventually(() => server.gets.length === 2)
      yield* close
      assert.deepStrictEqual([host.observed, host.losses], [[], []])
    }).pipe(Effect.scoped)
  )

  it.live("is opened again, as its client closed itself, asks for it no more", () =>
    Effect.gen(function* () {
      const server = yield* reopening
      const host = makeHost()
      const client = new Client({ name: "test", version: "1" })
      yield* open(HttpConnector.make({ url: server.url, client: () => client }), host)
      yield* eventually(() => server.gets.length === 2)
      yield* Effect.promise(() => client.close())
      // longer than the pause before a third request
      yield* Effect.sleep("1500 millis")
      assert.deepStrictEqual([host.observed, host.losses, server.gets.length], [[], ["closed"], 2])
    }).pipe(Effect.scoped)
  )

  it.live("exceeds a bound is lost for that, and its stream is not said to be lost, nor opened again", () =>
    Effect.gen(function* () {
      const server = yield* scripted((response) => {
        opened(response)
        setTimeout(() => response.write(`id: ${"x".repeat(5000)}\ndata: \n\n`), 50)
      })
      const host = makeHost()
      yield* open(HttpConnector.make({ url: server.url }), host)
      yield* eventually(() => host.losses.length > 0)
      yield* Effect.sleep("300 millis")
      assert.deepStrictEqual([host.losses, host.observed, noticesOf(host)], [["overflow"], [], []])
      assert.strictEqual(server.gets.length, 1)
    }).pipe(Effect.scoped)
  )

  it.live("has more in the chunk that ended it takes no notice of that", () =>
    Effect.gen(function* () {
      const ping = (id: number) => `data: ${JSON.stringify({ jsonrpc: "2.0", id, method: "ping" })}\n\n`
      const server = yield* scripted((response) => {
        opened(response)
        setTimeout(() => response.write(`${ping(1)}${ping(2)}${ping(3)}data: nonsense\n\n: here\n\n`), 100)
      })
      const host = makeHost()
      yield* open(HttpConnector.make({ url: server.url, limits: { serverRequests: 1 } }), host)
      yield* eventually(() => host.losses.length > 0)
      // three times the least time between two comments
      yield* Effect.sleep("3200 millis")
      assert.deepStrictEqual([host.losses, host.observed, noticesOf(host)], [["overflow"], [], []])
    }).pipe(Effect.scoped)
  )
})
