/** What the command-line client from which this library took its cadence did over HTTP, as promises of ours. */
import { assert, describe, it } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { Fault, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Backend, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Effect, Inspectable, Redacted } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { is, isRenewed, keep, path, quick, text } from "./support.ts"

describe("the second seed's behaviours over HTTP", () => {
  it.live("CONNECTED, UNHEALTHY, DISCONNECTED, and CONNECTED again", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { probe: "options", circuit: "none" } })
      yield* kept.call(server.echo("before"))
      yield* kept.proxy.inject(Fault.Refuse())
      yield* kept.until(is("Disconnected"))
      yield* kept.proxy.heal
      yield* kept.until(isRenewed())
      const states = path(kept.events)
      const order = ["Connected", "Unhealthy", "Disconnected", "Connected"] as const
      let at = -1
      for (const state of order) {
        at = states.indexOf(state, at + 1)
        assert.isAtLeast(at, 0, `${state} in ${states.join(" ")}`)
      }
    })
  )

  it.live("the OPTIONS probe carries the auth headers and the session id of the connection", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer kept" })
      const kept = yield* keep(server, {
        policy: { probe: "options" },
        headers: { Authorization: Redacted.make("Bearer kept"), "X-Tenant": "seven" }
      })
      yield* kept.backend.probe
      const probes = (yield* kept.proxy.requests).filter(({ method }) => method === "OPTIONS")
      assert.isAtLeast(probes.length, 1)
      for (const { headers, sessionId } of probes) {
        assert.strictEqual(headers["authorization"], "Bearer kept")
        assert.strictEqual(headers["x-tenant"], "seven")
        assert.isDefined(sessionId)
      }
    })
  )

  it.live.each([200, 204, 400, 404, 405])(
    "OPTIONS answered with %s is life: a healthy server is not recycled",
    (status) =>
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const kept = yield* keep(server, {
          policy: { probe: "options" },
          before: (proxy) => proxy.inject(Fault.Answer({ status, on: { method: "OPTIONS" } }))
        })
        yield* kept.backend.probe
        yield* kept.backend.probe
        yield* kept.backend.probe
        assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      })
  )

  it.live("a backend that dies disturbs no other", () =>
    Effect.gen(function* () {
      const dying = yield* keep(yield* ScriptedServer.make())
      const server = yield* ScriptedServer.make()
      const living = yield* keep(server)
      yield* dying.proxy.inject(Fault.SilentDrop())
      yield* dying.until((state) => state._tag !== "Connected" && state._tag !== "Unhealthy")
      assert.include(text(yield* living.call(server.echo("undisturbed"))), "undisturbed")
      assert.deepStrictEqual(path(living.events), ["Connected"])
    })
  )

  it.live("no secret is in any log line, event or error, whatever fails", () =>
    Effect.gen(function* () {
      const secret = "s3cr3t"
      const server = yield* ScriptedServer.make({ authorization: `Bearer ${secret}-token` })
      const seen: Array<unknown> = []
      const proxied = yield* keep(server, {
        headers: { Authorization: Redacted.make(`Bearer ${secret}-token`) },
        policy: { waitForSession: "200 millis" }
      })
      const url = `${proxied.proxy.url}/mcp?key=${secret}-query`
      const backend = yield* Backend.make({
        id: "secretive",
        connector: HttpConnector.make({ url, headers: { Authorization: Redacted.make(`Bearer ${secret}-token`) } }),
        policy: { ...quick, waitForSession: "200 millis" }
      }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => seen.push(event))))
      const calls = [
        { name: "echo", arguments: { message: `${secret}-argument` } },
        { name: "rpcError", arguments: { code: -32603, message: `${secret}-argument` } }
      ]
      const attempt = Effect.forEach(calls, (call) =>
        Effect.exit(backend.use((client, signal) => client.callTool(call, undefined, { signal })))
      )
      yield* attempt
      const sessionId = (yield* proxied.proxy.requests).find((request) => request.sessionId !== undefined)?.sessionId
      for (const fault of [
        Fault.Answer({ status: 500, body: `${secret}-body` }),
        Fault.Answer({ status: 401, body: `${secret}-body` }),
        Fault.Answer({ status: 302, headers: { location: `http://example.invalid/?${secret}-location` } }),
        Fault.CutMidChunk({ on: { rpc: "tools/call" } }),
        Fault.Refuse()
      ]) {
        const injected = yield* proxied.proxy.inject(fault)
        for (const exit of yield* attempt) if (exit._tag === "Failure") seen.push(exit.cause)
        yield* injected.heal
        yield* backend.reset
        yield* backend.awaitConnected
      }
      yield* backend.isolate
      // what the client itself threw is the caller's alone, and is in no event
      const said = Inspectable.toStringUnknown(seen.map((entry) => withoutClientCause(entry)))
      assert.include(said, "CallSettled")
      assert.notInclude(said, secret)
      assert.isDefined(sessionId)
      assert.notInclude(said, String(sessionId))
    })
  )
})

/** Everything of an error but `CallFailed.cause`, which is what the SDK threw. */
const withoutClientCause = (entry: unknown): unknown =>
  JSON.parse(
    JSON.stringify(entry, (key, value: unknown) => (key === "cause" && isThrown(value) ? undefined : value)) ?? "null"
  )

const isThrown = (value: unknown) => value instanceof Error && !("_tag" in value)
