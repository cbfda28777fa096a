/** The table "what counts as life, and as what", row by row, against real servers through the fault proxy. */
import { assert, describe, it } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { Fault, McpServers, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Backend, type BackendError } from "@vmcp-keepalive/core"
import { Duration, Effect, Fiber, Redacted, Ref, Schedule } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { is, isRenewed, keep, path, quick, tags, text } from "./support.ts"

const { Control, Reaction } = ScriptedServer

const reasonOf = (error: BackendError.CallError) => error.reason

describe("what is the call's own failure", () => {
  it.live("a JSON-RPC error, invalid params and isError leave the backend Connected", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      const invalid = yield* Effect.flip(kept.call({ name: "rpcError", arguments: { code: -32602 } }))
      assert.strictEqual(invalid._tag, "CallFailed")
      assert.isUndefined(reasonOf(invalid))
      const failed = yield* kept.call({ name: "fail", arguments: {} })
      assert.include(text(failed), "isError")
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      assert.deepStrictEqual(path(kept.events), ["Connected"])
    })
  )

  it.live("-32603 over the wire is doubted: the deep probe passes, and the backend stays Connected", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      const before = yield* kept.proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/list")
      const error = yield* Effect.flip(kept.call({ name: "rpcError", arguments: { code: -32603 } }))
      assert.strictEqual(error._tag, "CallFailed")
      yield* kept.proxy.awaitRequest(({ at, rpcMethod }) => rpcMethod === "tools/list" && at > before.at)
      yield* kept.backend.probe
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  it.live("429 with Retry-After is the caller's to wait for, and no failure of the backend", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      yield* kept.proxy.inject(
        Fault.Answer({ status: 429, headers: { "retry-after": "7" }, on: { rpc: "tools/call" }, times: 1 })
      )
      const error = yield* Effect.flip(kept.call(server.echo("busy")))
      assert(error._tag === "CallFailed")
      assert.strictEqual(error.reason, "busy")
      assert.strictEqual(error.retryAfter && Duration.toSeconds(error.retryAfter), 7)
      assert.strictEqual((yield* kept.backend.state)._tag, "Connected")
    })
  )

  it.live("a caller's interruption and a caller's own deadline mean nothing for the backend", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      const interrupted = yield* Effect.timeoutOption(kept.call(server.slow(30)), "200 millis")
      assert.strictEqual(interrupted._tag, "None")
      const late = yield* Effect.flip(
        kept.backend.use((client) => client.callTool(server.slow(30), undefined, { timeout: 200 }))
      )
      assert.strictEqual(late._tag, "OutcomeUnknown")
      assert.deepStrictEqual(path(kept.events), ["Connected"])
    })
  )
})

describe("what is a failure of the transport", () => {
  it.live("a frozen server: probes time out, its session is dropped, and it heals when it is thawed", () =>
    Effect.gen(function* () {
      const server = yield* McpServers.everything
      const kept = yield* keep(server)
      yield* kept.call(server.echo("before"))
      yield* server.freeze
      const unhealthy = yield* kept.until(is("Unhealthy"))
      assert(unhealthy._tag === "Unhealthy" && unhealthy.reason === "timeout")
      yield* kept.until(is("Connecting", "Disconnected", "CircuitOpen"))
      yield* server.thaw
      yield* kept.until(isRenewed())
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )

  it.live("a silent drop: a call in flight ends as OutcomeUnknown, not at the request timeout", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { inFlightGrace: "1 second" } })
      yield* kept.call(server.echo("before"))
      const call = yield* Effect.forkChild(Effect.flip(kept.call(server.slow(60))))
      yield* kept.proxy.awaitRequest(({ rpcMethod, at }) => rpcMethod === "tools/call" && at > 0)
      yield* kept.proxy.inject(Fault.SilentDrop())
      const error = yield* Effect.timeout(Fiber.join(call), "10 seconds")
      assert.strictEqual(error._tag, "OutcomeUnknown")
      yield* kept.proxy.heal
      yield* kept.until(isRenewed())
    })
  )

  it.live("a server that is gone: refused; calls wait and then say so; the circuit opens and closes again", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { waitForSession: "300 millis" } })
      yield* kept.call(server.echo("before"))
      yield* kept.proxy.inject(Fault.Refuse())
      const error = yield* Effect.flip(kept.call(server.echo("lost")))
      // the request may already have been on its way on a connection that was open a moment ago
      assert.include(["SessionUnavailable", "OutcomeUnknown"], error._tag)
      const open = yield* kept.until(is("CircuitOpen"))
      assert(open._tag === "CircuitOpen" && open.reason === "refused")
      const rejected = yield* Effect.flip(kept.call(server.echo("rejected")))
      assert(rejected._tag === "CallRejected")
      assert.strictEqual(rejected.reason, "refused")
      assert.include(tags(kept.events), "CircuitOpened")
      yield* kept.proxy.heal
      yield* kept.until(isRenewed())
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
      assert.strictEqual((yield* server.executions).length, 2)
    })
  )

  it.live("5xx to probes", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      yield* kept.call(server.echo("before"))
      yield* kept.proxy.inject(Fault.Answer({ status: 502 }))
      const unhealthy = yield* kept.until(is("Unhealthy"))
      assert(unhealthy._tag === "Unhealthy" && unhealthy.reason === "http_5xx")
      yield* kept.until(is("CircuitOpen"))
      yield* kept.proxy.heal
      yield* kept.until(isRenewed())
    })
  )

  it.live("a reset under a call in flight", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ answers: "json" })
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      const call = yield* Effect.forkChild(Effect.flip(kept.call(server.slow(60))))
      yield* kept.proxy.awaitRequest(({ rpcMethod }) => rpcMethod === "tools/call")
      yield* kept.proxy.inject(Fault.Reset({ on: { rpc: "tools/call" } }))
      const error = yield* Effect.timeout(Fiber.join(call), "2 seconds")
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "reset")
      yield* kept.proxy.heal
      // one probe decided the doubt: the session itself is well
      yield* kept.backend.probe
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  const attempts = [
    ["dns", () => "http://does-not-exist.invalid/mcp"],
    ["refused", () => "http://127.0.0.1:1/mcp"],
    ["tls", (port: number) => `https://127.0.0.1:${port}/mcp`],
    ["http_4xx", (port: number) => `http://127.0.0.1:${port}/nothing-here`]
  ] as const
  it.live.each(attempts)("an attempt that fails with %s", ([reason, urlOf]) =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const connector = HttpConnector.make({ url: urlOf(server.port) })
      const backend = yield* Backend.make({ id: reason, connector, policy: quick })
      const error = yield* Effect.flip(backend.use((client) => client.ping()))
      assert.include(["SessionUnavailable", "CallRejected"], error._tag)
      assert.strictEqual(error.reason, reason)
    })
  )
})

describe("the standing stream", () => {
  it.live("may be lost without any change of state", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      const first = yield* kept.proxy.awaitRequest(({ method }) => method === "GET")
      yield* kept.proxy.inject(Fault.Reset({ on: { method: "GET" }, times: 1 }))
      yield* kept.proxy.struck
      yield* kept.proxy.heal
      yield* kept.proxy.awaitRequest(({ at, method }) => method === "GET" && at > first.at)
      assert.deepStrictEqual(path(kept.events), ["Connected"])
    })
  )

  it.live("that is refused with 404 because the session is gone leads to a new session", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      yield* kept.call(server.echo("before"))
      yield* kept.proxy.awaitRequest(({ method }) => method === "GET")
      yield* server.control(Control.ExpireSessions())
      yield* server.control(Control.EndStreams())
      yield* kept.until(isRenewed())
    })
  )
})

describe("credentials", () => {
  it.live("that were changed are read again after a 401, and the call is sent again", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer one" })
      const token = yield* Ref.make("one")
      const headers = Effect.map(Ref.get(token), (value) => ({ Authorization: Redacted.make(`Bearer ${value}`) }))
      const kept = yield* keep(server, { headers, policy: { interval: "1 hour" } })
      yield* server.control(Control.Configure({ behaviour: { authorization: "Bearer two" } }))
      yield* Ref.set(token, "two")
      assert.include(text(yield* kept.call(server.echo("again"))), "again")
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      assert.strictEqual((yield* server.executions).length, 1)
    })
  )

  it.live("that are rejected twice end in NeedsAuth, without a storm, and come back with new ones", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make({ authorization: "Bearer one" })
      const token = yield* Ref.make("one")
      const headers = Effect.map(Ref.get(token), (value) => ({ Authorization: Redacted.make(`Bearer ${value}`) }))
      const kept = yield* keep(server, {
        headers,
        policy: { circuit: { failures: 3, openFor: "1 hour" } }
      })
      yield* server.control(Control.Configure({ behaviour: { authorization: "Bearer two" } }))
      yield* kept.until(is("NeedsAuth"))
      const rejected = yield* Effect.flip(kept.call(server.echo("rejected")))
      assert(rejected._tag === "CallRejected")
      assert.strictEqual(rejected.reason, "auth")
      const posts = Effect.map(kept.proxy.requests, (all) => all.filter(({ method }) => method === "POST").length)
      const before = yield* posts
      yield* Effect.sleep("1 second")
      assert.strictEqual(yield* posts, before)
      yield* Ref.set(token, "two")
      yield* kept.backend.reconnect
      assert.include(text(yield* kept.call(server.echo("after"))), "after")
    })
  )

  it.live("403 to one tool is that tool's", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, { policy: { interval: "1 hour" } })
      yield* kept.proxy.inject(Fault.Answer({ status: 403, on: { rpc: "tools/call" } }))
      const error = yield* Effect.flip(kept.call(server.echo("forbidden")))
      assert(error._tag === "CallFailed")
      assert.strictEqual(error.reason, "auth")
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
    })
  )
})

describe("a server that is busy", () => {
  it.live("is not asked again before Retry-After, and counts no failure", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server, {
        await: false,
        policy: { circuit: { failures: 1, openFor: "1 hour" } },
        before: (proxy) =>
          proxy.inject(
            Fault.Answer({ status: 503, headers: { "retry-after": "1" }, on: { rpc: "initialize" }, times: 2 })
          )
      })
      const busy = yield* kept.until(is("Disconnected"))
      assert(busy._tag === "Disconnected" && busy.reason === "busy" && busy.attempt === 0)
      yield* kept.until(is("Connected"))
      const attempts = (yield* kept.proxy.requests).filter(({ rpcMethod }) => rpcMethod === "initialize")
      assert.strictEqual(attempts.length, 3)
      for (const [index, attempt] of attempts.entries()) {
        if (index > 0) assert.isAtLeast(attempt.at - (attempts[index - 1]?.at ?? 0), 999)
      }
    })
  )
})

describe("a standing stream that is refused once when it is opened again", () => {
  for (const stateful of [true, false]) {
    it.live(
      `ends no session that is not probed, nor its calls: ${stateful ? "stateful, with none" : "stateless"}`,
      () =>
        Effect.gen(function* () {
          const server = yield* ScriptedServer.make({ stateful })
          const kept = yield* keep(server, { policy: { interval: "1 hour", probe: stateful ? "none" : "auto" } })
          const slow = yield* Effect.forkChild(kept.call(server.slow(2)))
          yield* Effect.repeat(server.executions, {
            until: ({ length }) => length > 0,
            schedule: Schedule.spaced("10 millis")
          })
          yield* kept.proxy.inject(Fault.Answer({ status: 503, on: { method: "GET" }, times: 1 }))
          const refused = kept.proxy.struck
          yield* server.control(Control.EndStreams())
          yield* refused
          assert.include(text(yield* Fiber.join(slow)), "content")
          assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
        })
    )
  }
})

describe("a call that takes long", () => {
  it.live("is no death, although the server answers no probe meanwhile", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const kept = yield* keep(server)
      yield* kept.call(server.echo("before"))
      const slow = yield* Effect.forkChild(kept.call(server.slow(6)))
      // a ping that was silent before the call began would be no excuse
      yield* Effect.repeat(server.executions, {
        until: ({ length }) => length > 1,
        schedule: Schedule.spaced("10 millis")
      })
      yield* server.react("ping", Reaction.Hang())
      assert.include(text(yield* Fiber.join(slow)), "content")
      // more misses than would end a session on which nobody waits
      const missed = kept.events.filter(({ _tag }) => _tag === "ProbeFailed")
      assert.isAtLeast(missed.length, 3)
      assert.notInclude(path(kept.events), "Disconnected")
      const sessions = (yield* kept.proxy.requests).filter(({ rpcMethod }) => rpcMethod === "initialize")
      assert.strictEqual(sessions.length, 1)
    })
  )
})
