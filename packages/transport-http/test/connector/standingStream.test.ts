/** The stream for what a server sends of its own accord. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `it.live` */
import { describe, expect, it } from "@effect/vitest"
import { Fault, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import type { ServerResponse } from "node:http"
import { HttpConnector } from "../../src/index.ts"
import {
  eventually,
  eventuallyEffect,
  initializeResult,
  listening,
  makeHost,
  measured,
  open,
  openThroughProxy,
  serve
} from "./support.ts"

const standing = { method: "GET" } as const

const note = (data: string) =>
  ScriptedServer.Control.Notify({ method: "notifications/message", params: { level: "info", data } })

const isGet = ({ method }: { readonly method: string }) => method === "GET"

describe("the standing stream", () => {
  it.live("is opened again within 200 ms of a cut, and carries notifications and pings again", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { client, got } = listening()
      const { host, proxy } = yield* openThroughProxy(server, { client })
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      const first = yield* proxy.awaitRequest(isGet)
      const { at } = yield* (yield* proxy.inject(Fault.Reset({ on: standing, times: 1 }))).struck
      const second = yield* proxy.awaitRequest((request) => isGet(request) && request.at > first.at)
      measured("standing stream asked for again after", second.at - at)
      expect(second.at - at).toBeLessThan(200)
      yield* eventually(() => host.notices.some(({ notice }) => notice === "stream_restored"))
      expect(host.notices.map(({ notice }) => notice)).toEqual(["stream_lost", "stream_restored"])
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      yield* server.control(note("hello"))
      yield* eventually(() => got.length === 1)
      yield* server.control(ScriptedServer.Control.Ping())
      yield* eventuallyEffect(Effect.map(server.stats, ({ pingsAnswered }) => pingsAnswered === 1))
      expect(host.observed).toEqual([])
      expect(host.losses).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("comes back after an outage that outlasts the SDK's two tries, reported once", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { client, got } = listening()
      const { host, proxy } = yield* openThroughProxy(server, { client })
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      const outage = yield* proxy.inject(Fault.Refuse())
      yield* Effect.sleep("4 seconds")
      yield* outage.heal
      const healed = performance.now()
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      measured("standing stream back after an outage of 4 s, counted from its end", performance.now() - healed)
      expect(host.observed).toMatchObject([{ reason: "refused", code: "ECONNREFUSED" }])
      yield* server.control(note("after"))
      yield* eventually(() => got.includes("after"))
    }).pipe(Effect.scoped)
  )

  it.live("comes back after its very first opening was refused by a rate limit, when Retry-After says", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.react("GET", ScriptedServer.Reaction.Status({ status: 429, headers: { "retry-after": "1" } }), 1)
      const { host, proxy } = yield* openThroughProxy(server)
      const first = yield* proxy.awaitRequest(isGet)
      const second = yield* proxy.awaitRequest((request) => isGet(request) && request.at > first.at)
      expect(second.at - first.at).toBeGreaterThanOrEqual(990)
      expect(second.at - first.at).toBeLessThan(2000)
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      expect(host.observed).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("is left be for good after 405", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ getStream: false })
      const { host, proxy, session } = yield* openThroughProxy(server)
      yield* proxy.awaitRequest(isGet)
      yield* session.probe({ _tag: "ping" })
      yield* Effect.sleep("1500 millis")
      expect((yield* proxy.stats).byMethod["GET"]).toBe(1)
      expect(host.observed).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("reports the status with which a session that the server forgot is refused", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { host, proxy } = yield* openThroughProxy(server)
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      yield* server.control(ScriptedServer.Control.ExpireSessions())
      yield* proxy.inject(Fault.Reset({ on: standing, times: 1 }))
      yield* eventually(() => host.observed.length === 1)
      expect(host.observed).toEqual([{ _tag: "Refused", status: 404, withSession: true }])
    }).pipe(Effect.scoped)
  )

  it.live("is opened again when the server ends it, after the pause that the server asks for", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ retry: 400 })
      const { proxy } = yield* openThroughProxy(server)
      yield* eventuallyEffect(Effect.map(server.stats, ({ streams }) => streams === 1))
      const at = performance.now()
      yield* server.control(ScriptedServer.Control.EndStreams())
      const again = yield* proxy.awaitRequest((request) => isGet(request) && request.at > at)
      expect(again.at - at).toBeGreaterThanOrEqual(390)
      expect(again.at - at).toBeLessThan(700)
    }).pipe(Effect.scoped)
  )

  it.live("is opened again at once behind a proxy that cuts what is idle, without growing delays", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { host, proxy } = yield* openThroughProxy(server)
      yield* proxy.inject(Fault.IdleCut({ on: standing, after: "3200 millis" }))
      yield* eventuallyEffect(Effect.map(proxy.requests, (all) => all.filter(isGet).length === 4))
      const cuts = (yield* proxy.marks).map(({ at }) => at)
      const gets = (yield* proxy.requests).filter(isGet).map(({ at }) => at)
      const delays = cuts.map((cut) => Math.min(...gets.filter((at) => at > cut).map((at) => at - cut)))
      measured("longest gap behind a proxy that cuts idle streams", Math.max(...delays))
      expect(Math.max(...delays)).toBeLessThan(200)
      expect(host.observed).toEqual([])
    }).pipe(Effect.scoped)
  )

  it.live("hands on every notification, also of a server that numbers the events of each stream from 1", () =>
    Effect.gen(function* () {
      let stream: ServerResponse | undefined
      const server = yield* serve((request, body, response) => {
        if (request.method === "GET") {
          // it has no events that it could send again
          if (request.headers["last-event-id"] !== undefined) return void response.writeHead(400).end()
          stream = response
          return response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
        }
        if (request.method === "DELETE") return void response.writeHead(200).end()
        const { id } = JSON.parse(body)
        if (id === undefined) return void response.writeHead(202).end()
        response.writeHead(200, { "content-type": "application/json", "mcp-session-id": "s" }).end(initializeResult(id))
      })
      const { client, got } = listening()
      yield* open(HttpConnector.make({ url: server.url, client }))
      const data = { method: "notifications/message", params: { level: "info", data: "changed" } }
      for (let connection = 1; connection <= 3; connection++) {
        yield* eventually(() => stream !== undefined)
        stream?.write(`id: 1\ndata: ${JSON.stringify({ jsonrpc: "2.0", ...data })}\n\n`)
        yield* eventually(() => got.length === connection)
        const cut = stream
        stream = undefined
        cut?.destroy()
      }
    }).pipe(Effect.scoped)
  )

  it.live("never delays the opening of a session", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      yield* server.react("GET", ScriptedServer.Reaction.Hang())
      const began = performance.now()
      const { session } = yield* openThroughProxy(server, {}, makeHost())
      expect(yield* session.probe({ _tag: "ping" })).toEqual({ _tag: "Answered" })
      expect(performance.now() - began).toBeLessThan(1000)
    }).pipe(Effect.scoped)
  )
})
