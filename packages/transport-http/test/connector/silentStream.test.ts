/** The standing stream of a server that has changed, or has died, and says nothing of it. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/index.ts"
import { eventually, initializeResult, makeHost, open, serve } from "./support.ts"

/** A server with sessions, whose GET streams are the test's. */
const scripted = (onGet: (response: ServerResponse, nth: number) => void) => {
  let gets = 0
  return serve((request, body, response) => {
    if (request.method === "GET") return onGet(response, ++gets)
    if (request.method === "DELETE") return response.writeHead(200).end()
    const { id, method } = JSON.parse(body)
    if (method !== "initialize") return response.writeHead(202).end()
    response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "one" }).end(initializeResult(id))
  })
}

const opened = (response: ServerResponse) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
  return response
}

describe("a standing stream", { timeout: 20_000 }, () => {
  it.live("that is no more offered where it was before is reported, and one that never was is not", () =>
    Effect.gen(function* () {
      const never = yield* scripted((response) => response.writeHead(405).end())
      const quiet = makeHost()
      yield* open(HttpConnector.make({ url: never.url }), quiet)
      let refused = 0
      const server = yield* scripted((response, nth) => {
        if (nth === 1) return void setTimeout(() => opened(response).end(), 10)
        refused++
        response.writeHead(405).end()
      })
      const host = makeHost()
      yield* open(HttpConnector.make({ url: server.url }), host)
      yield* eventually(() => host.observed.length > 0)
      assert.deepStrictEqual(host.observed, [{ _tag: "Refused", status: 405, withSession: true }])
      assert.deepStrictEqual(quiet.observed, [])
      assert.strictEqual(refused, 1)
    }).pipe(Effect.scoped)
  )

  it.live("on which comments came is doubted and opened again when three are missing; one without any is not", () =>
    Effect.gen(function* () {
      let streams = 0
      let last = 0
      const beating = yield* scripted((response, nth) => {
        streams = nth
        opened(response)
        if (nth > 1) return
        for (const at of [300, 600])
          setTimeout(() => {
            last = performance.now()
            response.write(": here\n\n")
          }, at)
      })
      const still = yield* scripted((response) => void opened(response))
      const host = makeHost()
      const quiet = makeHost()
      yield* open(HttpConnector.make({ url: beating.url }), host)
      yield* open(HttpConnector.make({ url: still.url }), quiet)
      yield* eventually(() => host.observed.length > 0)
      assert.deepStrictEqual(host.observed, [{ _tag: "TransportFailure", reason: "timeout" }])
      // three times the least that is counted with; timers fire up to a millisecond early
      assert.isAtLeast(performance.now() - last, 2999)
      yield* eventually(() => streams === 2)
      assert.deepStrictEqual([host.losses, quiet.observed, quiet.notices], [[], [], []])
    }).pipe(Effect.scoped)
  )

  it.live(
    "that was cut tells who listens that something may have changed, also where the server resumes it and sends nothing",
    () =>
      Effect.gen(function* () {
        const changed = `id: 7\ndata: ${JSON.stringify({ jsonrpc: "2.0", method: "notifications/tools/list_changed" })}\n\n`
        let streams = 0
        const server = yield* scripted((response, nth) => {
          streams = nth
          opened(response)
          if (nth === 1) setTimeout(() => response.end(changed), 100)
        })
        const { session } = yield* open(HttpConnector.make({ url: server.url }))
        const heard: Array<string> = []
        const filter = { tools: true, prompts: false, resources: false, uris: [] }
        const hearing = { opened: () => heard.push("opened"), changed: () => heard.push("changed") }
        yield* Effect.forkChild(session.listen?.(filter, hearing) ?? Effect.never, { startImmediately: true })
        yield* eventually(() => heard.length === 2)
        assert.deepStrictEqual([heard, streams], [["opened", "opened"], 3])
      }).pipe(Effect.scoped)
  )
})
