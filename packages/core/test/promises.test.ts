/** What a backend promises to its callers, one test a promise. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Exit, Fiber, Layer, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, KeepaliveEvent, KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

const make = (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) =>
  Backend.make({ id: "scripted", connector: server.connector, policy: { interval: "30 seconds", ...policy } })

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

describe("a call", () => {
  it.effect("after a long silence is preceded by a probe: if that fails, it waits for the next session, unsent", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { interval: "1 hour", staleAfter: "1 minute", stableAfter: 0 })
      yield* backend.use(echo)
      yield* TestClock.adjust("20 minutes")
      const { probes } = server.counts
      assert.strictEqual(yield* backend.use(echo), "echo")
      assert.strictEqual(server.counts.probes, probes + 1)

      yield* TestClock.adjust("10 minutes")
      server.script.probe = ScriptedServer.unreachable("reset")
      const call = yield* Effect.forkChild(backend.use(echo), { startImmediately: true })
      server.script.probe = ScriptedServer.answer
      yield* TestClock.adjust("5 seconds")
      assert.strictEqual(yield* Fiber.join(call), "echo")
      assert.strictEqual(server.executed.length, 3)
      assert.deepStrictEqual(untimed(yield* backend.state), { _tag: "Connected", generation: 2 })
    })
  )

  it.effect("on a stateless backend is never preceded by a probe, however long nothing was heard", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make({ stateful: false })
      const backend = yield* make(server)
      yield* backend.use(echo)
      yield* TestClock.adjust("1 day")
      assert.strictEqual(yield* backend.use(echo), "echo")
      assert.strictEqual(server.counts.probes, 0)
    })
  )

  it.effect("waits for a session no longer than waitForSession, and not at all if none can come by then", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.silence
      const backend = yield* make(server, {
        waitForSession: "4 seconds",
        connectTimeout: "1 minute",
        backoff: { initial: "30 seconds" }
      })
      const waiting = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("4 seconds")
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "SessionUnavailable")

      yield* TestClock.adjust("1 minute")
      const atOnce = yield* Effect.flip(backend.use(echo))
      assert(atOnce._tag === "SessionUnavailable")
      assert.strictEqual(atOnce.reason, "timeout")
      assert.isAbove(atOnce.retryAfter ? Duration.toSeconds(atOnce.retryAfter) : 0, 4)
      assert.deepStrictEqual(server.executed, [])
    })
  )

  it.effect("of a read-only protocol method is run again when its session dies under it", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { stableAfter: 0 })
      yield* backend.use(echo)
      server.script.latency = "1 second"
      const list = yield* Effect.forkChild(
        backend.use((client) => client.listTools()),
        { startImmediately: true }
      )
      server.script.latency = 0
      server.kill("reset")
      assert.deepStrictEqual(yield* Fiber.join(list), [])
    })
  )

  it.effect("of a tool that says so of itself is run again only where annotations are trusted", () =>
    Effect.gen(function* () {
      for (const trustAnnotations of [false, true]) {
        const server = ScriptedServer.make()
        server.script.tools = [{ name: "echo", readOnly: true, idempotent: false }]
        const backend = yield* make(server, { stableAfter: 0, trustAnnotations })
        yield* backend.use(echo)
        server.script.call = () => ScriptedServer.silence
        const call = yield* Effect.forkChild(Effect.exit(backend.use(echo)), { startImmediately: true })
        server.script.call = () => ScriptedServer.answer
        server.kill("reset")
        assert.strictEqual((yield* Fiber.join(call))._tag, trustAnnotations ? "Success" : "Failure")
        assert.strictEqual(server.executed.length, trustAnnotations ? 3 : 2)
      }
    })
  )

  it.effect("that takes long excuses silent probes, until nothing was heard for inFlightGrace", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { inFlightGrace: "3 minutes" })
      yield* backend.awaitConnected
      server.script.probe = ScriptedServer.silence
      server.script.call = () => ScriptedServer.silence
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      yield* TestClock.adjust("150 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Unhealthy")
      server.progress()
      yield* TestClock.adjust("150 seconds")
      assert.strictEqual((yield* backend.state)._tag, "Unhealthy")
      yield* TestClock.adjust("60 seconds")
      const error = yield* Fiber.join(call)
      assert(error._tag === "OutcomeUnknown")
      assert.strictEqual(error.reason, "timeout")
    })
  )
})

describe("what a call tells of its server", () => {
  it.effect("an error answer is life: an Unhealthy backend is Connected again", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.probe = ScriptedServer.unreachable("reset")
      yield* backend.probe
      assert.strictEqual((yield* backend.state)._tag, "Unhealthy")
      server.script.call = () => ScriptedServer.error(-32602)
      assert.strictEqual((yield* Effect.flip(backend.use(echo)))._tag, "CallFailed")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
    })
  )

  it.effect("a callback that makes light of a failed request is no life", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      server.script.probe = ScriptedServer.unreachable("reset")
      yield* backend.probe
      server.script.call = () => ScriptedServer.unreachable("reset")
      const result = yield* backend.use((client) => client.callTool("echo").catch(() => "made light of"))
      assert.strictEqual(result, "made light of")
      assert.strictEqual((yield* backend.state)._tag, "Unhealthy")
    })
  )
})

describe("a pinned session", () => {
  it.effect("that nobody asks anything excuses no silent probe: a death is noticed within the bound", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server)
      yield* backend.awaitConnected
      const outcomes: Array<string> = []
      const pinned = yield* Effect.forkChild(
        backend.pinned((session) =>
          Effect.gen(function* () {
            yield* session.use(echo)
            yield* Effect.sleep("4 minutes")
            outcomes.push((yield* Effect.flip(session.use(echo)))._tag)
          })
        ),
        { startImmediately: true }
      )
      yield* TestClock.adjust("1 second")
      server.script.probe = ScriptedServer.silence
      // 30 s · 1.1 + 10 s + 2 · (5 s + 10 s)
      yield* TestClock.adjust("73 seconds")
      assert.notInclude(["Connected", "Unhealthy"], (yield* backend.state)._tag)
      yield* TestClock.adjust("4 minutes")
      yield* Fiber.join(pinned)
      assert.deepStrictEqual(outcomes, ["SessionReplaced"])
    })
  )

  it.effect("has its calls counted like all others", () =>
    Effect.gen(function* () {
      const outcomes: Array<string> = []
      const server = ScriptedServer.make()
      const backend = yield* make(server).pipe(
        Effect.provide(
          KeepaliveEvent.layerObserver((event) => {
            if (event._tag === "CallSettled") outcomes.push(event.outcome)
          })
        )
      )
      yield* backend.awaitConnected
      yield* backend.pinned((session) => Effect.all([session.use(echo), session.use(echo)]))
      assert.deepStrictEqual(outcomes, ["ok", "ok"])
    })
  )

  it.effect("has its calls counted as rejected where its session is gone, or where there is none to begin with", () =>
    Effect.gen(function* () {
      const outcomes: Array<string> = []
      const server = ScriptedServer.make()
      const backend = yield* make(server).pipe(
        Effect.provide(
          KeepaliveEvent.layerObserver((event) => {
            if (event._tag === "CallSettled") outcomes.push(event.outcome)
          })
        )
      )
      yield* backend.awaitConnected
      const replaced = yield* backend.pinned((session) => {
        server.kill("process_exit")
        return Effect.flip(session.use(echo))
      })
      assert.strictEqual(replaced._tag, "SessionReplaced")
      yield* backend.isolate
      const rejected = yield* Effect.flip(backend.pinned((session) => session.use(echo)))
      assert.strictEqual(rejected._tag, "CallRejected")
      assert.deepStrictEqual(outcomes, ["rejected", "rejected"])
    })
  )
})

describe("a transport that throws", () => {
  const broken = Effect.die(new Error("a defect of the transport"))

  it.effect("fails the attempt, and there will be another", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      let attempts = 0
      const connector = {
        ...server.connector,
        open: (host: Connector.SessionHost) => (attempts++ === 0 ? broken : server.connector.open(host))
      }
      const backend = yield* Backend.make({ id: "scripted", connector })
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual(yield* backend.use(echo), "echo")
      assert.strictEqual(attempts, 2)
    })
  )

  it.effect("fails the probe, and the session is given up in the end", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      let isBroken = false
      const connector: Connector.Connector<ScriptedServer.ScriptedClient> = {
        ...server.connector,
        open: (host) =>
          Effect.map(server.connector.open(host), (session) => ({
            ...session,
            probe: (rung) => (isBroken ? broken : session.probe(rung))
          }))
      }
      const backend = yield* Backend.make({ id: "scripted", connector, policy: { interval: "10 seconds" } })
      yield* backend.awaitConnected
      isBroken = true
      yield* TestClock.adjust("30 seconds")
      const state = yield* backend.state
      assert.notStrictEqual(state._tag, "Connected")
      isBroken = false
      yield* TestClock.adjust("10 minutes")
      assert.strictEqual((yield* backend.state)._tag, "Connected")
    })
  )

  it.effect(
    "as it is asked to list or to listen costs nothing else: the session serves, and those who waited are told",
    () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const throws = () => {
          throw new Error("a defect of the transport")
        }
        const connector: Connector.Connector<ScriptedServer.ScriptedClient> = {
          ...server.connector,
          open: (host) =>
            Effect.map(server.connector.open(host), (session) => ({ ...session, list: throws, listen: throws }))
        }
        const backend = yield* Backend.make({ id: "scripted", connector, policy: { connect: "lazy" } })
        yield* Effect.forkScoped(Stream.runDrain(backend.listen({ tools: true })), {
          startImmediately: true
        })
        assert.strictEqual(yield* backend.use(echo), "echo")
        const { probes } = server.counts
        yield* TestClock.adjust("10 minutes")
        assert.isAbove(server.counts.probes, probes)
      })
  )

  it.effect("as it is asked for a call ends that call, which is told like all others", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const connector: Connector.Connector<ScriptedServer.ScriptedClient> = {
        ...server.connector,
        open: (host) =>
          Effect.map(server.connector.open(host), (session) => ({
            ...session,
            call: () => {
              throw new Error("a defect of the transport")
            }
          }))
      }
      const told: Array<string> = []
      const backend = yield* Backend.make({ id: "scripted", connector }).pipe(
        Effect.provide(KeepaliveEvent.layerObserver(({ _tag }) => void (_tag.startsWith("Call") && told.push(_tag))))
      )
      yield* backend.awaitConnected
      assert.isTrue(Exit.isFailure(yield* Effect.exit(backend.use(echo))))
      assert.deepStrictEqual(told, ["CallStarted", "CallSettled"])
    })
  )
})

describe("the first event", () => {
  it.effect.each([
    ["eager", "Connecting"],
    ["lazy", "Idle"]
  ] as const)("of a backend that is %s says in which state it begins", ([connect, state]) =>
    Effect.gen(function* () {
      const seen: Array<KeepaliveEvent.KeepaliveEvent> = []
      yield* make(ScriptedServer.make(), { connect }).pipe(
        Effect.provide(KeepaliveEvent.layerObserver((event) => void seen.push(event)))
      )
      const [first] = seen
      assert(first?._tag === "Started")
      assert.strictEqual(first.state._tag, state)
      assert.strictEqual(first.backend, "scripted")
    })
  )
})

describe("what the transport says of a failure", () => {
  const died = { summary: "exit code 1", output: ["fatal: SECRET is not set"] }
  const dies = ScriptedServer.unreachable("process_exit", died)

  it.effect("is in the errors of the calls that it cost, until a session is open again", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* make(server, { stableAfter: 0, circuit: { failures: 2, openFor: "1 minute" } })
      yield* backend.use(echo)
      server.script.latency = "1 minute"
      const call = yield* Effect.forkChild(Effect.flip(backend.use(echo)), { startImmediately: true })
      server.script.latency = 0
      server.script.connect = dies
      server.kill("process_exit", { summary: "signal SIGKILL", output: [] })
      const unknown = yield* Fiber.join(call)
      assert(unknown._tag === "OutcomeUnknown")
      assert.strictEqual(unknown.detail?.summary, "signal SIGKILL")
      assert.include(unknown.message, "process_exit, signal SIGKILL")

      yield* TestClock.adjust("2 seconds")
      const rejected = yield* Effect.flip(backend.use(echo))
      assert(rejected._tag === "CallRejected")
      assert.deepStrictEqual(rejected.detail, died)

      server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("2 minutes")
      yield* backend.use(echo)
      yield* backend.isolate
      const isolated = yield* Effect.flip(backend.use(echo))
      assert(isolated._tag === "CallRejected")
      assert.isUndefined(isolated.detail)
    })
  )

  it.effect("may be nothing but what the server wrote, where the attempt took too long", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.connect = ScriptedServer.silence
      const backend = yield* Backend.make({
        id: "scripted",
        connector: {
          ...server.connector,
          open: (host) => {
            host.output(() => ["Enter your token:"])
            return server.connector.open(host)
          }
        },
        policy: { connectTimeout: "1 second", circuit: { failures: 1 } }
      })
      yield* TestClock.adjust("1 second")
      const error = yield* Effect.flip(backend.use(echo))
      assert(error._tag === "CallRejected")
      assert.deepStrictEqual(error.detail, { summary: undefined, output: ["Enter your token:"] })
      assert.notInclude(error.message, "token")
    })
  )

  it.effect("is in the events with its own words only, and in no message with those of the server", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const seen: Array<KeepaliveEvent.KeepaliveEvent> = []
      const backend = yield* make(server, { stableAfter: 0, circuit: { failures: 1 } }).pipe(
        Effect.provide(KeepaliveEvent.layerObserver((event) => void seen.push(event)))
      )
      yield* backend.use(echo)
      server.script.connect = dies
      server.kill("process_exit", died)
      yield* TestClock.adjust("500 millis")
      const error = yield* Effect.flip(backend.use(echo))
      const details = seen.flatMap((event) =>
        event._tag === "SessionClosed" || event._tag === "AttemptFailed" ? [event.detail] : []
      )
      assert.isAtLeast(details.length, 2)
      assert.isTrue(details.every((detail) => detail === "exit code 1"))
      assert.notInclude(JSON.stringify(seen), "SECRET")
      assert.notInclude(error.message, "SECRET")
    })
  )
})

describe("an app", () => {
  const github = ScriptedServer.make()
  class GitHub extends Context.Service<GitHub, Backend.Backend<ScriptedServer.ScriptedClient>>()("app/GitHub") {
    static readonly layer = Layer.effect(
      this,
      Backend.make({ id: "github", connector: github.connector, policy: { timeout: "3 seconds" } })
    )
  }

  it.effect("has its backends as services, under one policy, and closes their sessions with the layer", () =>
    Effect.gen(function* () {
      yield* Effect.gen(function* () {
        const backend = yield* GitHub
        yield* backend.awaitConnected
        yield* TestClock.adjust("2 minutes")
        assert.isAtLeast(github.counts.probes, 10)
        assert.strictEqual(yield* backend.use(echo), "echo")
      }).pipe(Effect.provide(GitHub.layer.pipe(Layer.provide(KeepalivePolicy.layer({ interval: "10 seconds" })))))
      assert.strictEqual(github.counts.open, 0)
    })
  )
})
