/** What the two programs did from which this library took its names and numbers, as promises of ours. */
import { assert, describe, it } from "@effect/vitest"
import { Duration, Effect, Random } from "effect"
import { TestClock } from "effect/testing"
import { Backend, Evidence, KeepaliveEvent, KeepalivePolicy, type Connector } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"
import { untimed } from "../src/ConnectionState.ts"

type Event = KeepaliveEvent.KeepaliveEvent

interface Kept {
  readonly backend: Backend.Backend<ScriptedServer.ScriptedClient>
  readonly server: ScriptedServer.ScriptedServer
  readonly events: ReadonlyArray<Event>
  readonly count: (tag: Event["_tag"]) => number
}

const keep = Effect.fnUntraced(function* (
  policy: KeepalivePolicy.Options = {},
  options: { readonly id?: string; readonly rungs?: Array<Connector.ProbeRung> } = {}
) {
  const server = ScriptedServer.make()
  server.script.tools = [{ name: "health", readOnly: true, idempotent: true }]
  const events: Array<Event> = []
  const { connector } = server
  const backend = yield* Backend.make({
    id: options.id ?? "scripted",
    connector: {
      ...connector,
      open: (host) =>
        Effect.map(connector.open(host), (session) => ({
          ...session,
          probe: (rung: Connector.ProbeRung) => {
            options.rungs?.push(rung)
            return session.probe(rung)
          }
        }))
    },
    policy
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
  const kept: Kept = {
    backend,
    server,
    events,
    count: (tag) => events.filter((event) => event._tag === tag).length
  }
  return kept
})

const echo = (client: ScriptedServer.ScriptedClient, signal: AbortSignal) => client.callTool("echo", { signal })

const probeTimes = (events: ReadonlyArray<Event>) =>
  events.flatMap((event) => (event._tag === "ProbeSent" ? [event.at] : []))

const gaps = (times: ReadonlyArray<number>) => times.slice(1).map((time, index) => time - (times[index] ?? 0))

describe("the keepalive of the vMCP gateway", () => {
  it.effect("1: every backend is monitored by itself, at its own interval", () =>
    Effect.gen(function* () {
      const often = yield* keep({ interval: "10 seconds" }, { id: "often" })
      const seldom = yield* keep({ interval: "100 seconds" }, { id: "seldom" })
      yield* TestClock.adjust("10 minutes")
      assert.approximately(often.count("ProbeSent"), 60, 6)
      assert.approximately(seldom.count("ProbeSent"), 6, 1)
      assert.isTrue(often.events.every(({ backend }) => backend === "often"))
    })
  )

  it.effect("2: a ping that is answered counts as attempt and as success, with its latency", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ interval: "10 seconds", probe: "ping" })
      kept.server.script.latency = "70 millis"
      yield* TestClock.adjust("1 minute")
      assert.isAbove(kept.count("ProbeSent"), 0)
      assert.strictEqual(kept.count("ProbeSucceeded"), kept.count("ProbeSent"))
      const latencies = kept.events.flatMap((event) =>
        event._tag === "ProbeSucceeded" ? [Duration.toMillis(event.latency)] : []
      )
      assert.isTrue(latencies.every((latency) => latency === 70))
    })
  )

  it.effect("3: a ping that fails counts as failure, with its reason", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ interval: "10 seconds", probe: "ping", failureThreshold: 1 })
      kept.server.script.probe = ScriptedServer.unreachable("reset")
      yield* TestClock.adjust("3 seconds")
      const reasons = kept.events.flatMap((event) => (event._tag === "ProbeFailed" ? [event.reason] : []))
      assert.deepStrictEqual(reasons, ["reset"])
    })
  )

  it.effect("4: failures in a row open the circuit, and that is told once", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ ...KeepalivePolicy.vmcp, stableAfter: 0 })
      yield* kept.backend.use(echo)
      kept.server.script.probe = ScriptedServer.silence
      kept.server.script.connect = ScriptedServer.unreachable()
      yield* TestClock.adjust("400 seconds")
      assert.strictEqual(kept.count("ProbeFailed"), 3)
      assert.strictEqual(kept.count("CircuitOpened"), 1)
      assert.strictEqual((yield* kept.backend.state)._tag, "CircuitOpen")
    })
  )

  it.effect("5: a success in between begins the count of failures anew", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ interval: "10 seconds", failureThreshold: 3 })
      for (let round = 0; round < 5; round++) {
        kept.server.script.probe = ScriptedServer.unreachable("reset")
        yield* kept.backend.probe
        yield* kept.backend.probe
        assert.strictEqual((yield* kept.backend.state)._tag, "Unhealthy")
        kept.server.script.probe = ScriptedServer.answer
        yield* kept.backend.probe
        assert.strictEqual((yield* kept.backend.state)._tag, "Connected")
      }
      assert.strictEqual(kept.count("CircuitOpened"), 0)
      assert.strictEqual(kept.server.counts.attempts, 1)
    })
  )

  it.effect("6: in the quiet window nothing is probed, attempted or called", () =>
    Effect.gen(function* () {
      const kept = yield* keep(KeepalivePolicy.vmcp)
      yield* kept.backend.isolate
      kept.server.script.connect = ScriptedServer.unreachable()
      yield* kept.backend.reset
      assert.strictEqual((yield* kept.backend.state)._tag, "CircuitOpen")
      const { attempts, probes } = kept.server.counts
      yield* TestClock.adjust("29 minutes")
      const rejected = yield* Effect.flip(kept.backend.use(echo))
      assert(rejected._tag === "CallRejected")
      assert.deepStrictEqual(rejected.retryAfter && Duration.toMinutes(rejected.retryAfter), 1)
      assert.deepStrictEqual([kept.server.counts.attempts, kept.server.counts.probes], [attempts, probes])
    })
  )

  it.effect("7: after the window one trial decides: exactly at its end, and one at a time", () =>
    Effect.gen(function* () {
      const kept = yield* keep(KeepalivePolicy.vmcp)
      yield* kept.backend.isolate
      kept.server.script.connect = ScriptedServer.unreachable()
      yield* kept.backend.reset
      const { attempts } = kept.server.counts
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual(kept.server.counts.attempts, attempts + 1)
      kept.server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("30 minutes")
      assert.strictEqual((yield* kept.backend.state)._tag, "Connected")
      assert.strictEqual(kept.server.counts.attempts, attempts + 2)
    })
  )

  it.effect("8: a backend with none is not probed, and nothing is counted for it", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ probe: "none", interval: "10 seconds" })
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(
        [kept.count("ProbeSent"), kept.count("ProbeSucceeded"), kept.count("ProbeFailed"), kept.server.counts.probes],
        [0, 0, 0, 0]
      )
    })
  )

  it.effect("9: the method is the backend's own: a tool is called with its arguments", () =>
    Effect.gen(function* () {
      const rungs: Array<Connector.ProbeRung> = []
      const kept = yield* keep(
        { probe: { method: "tool", tool: { name: "health", arguments: { deep: false } } } },
        { rungs }
      )
      yield* kept.backend.probe
      assert.isAbove(rungs.length, 0)
      assert.isTrue(rungs.every((rung) => rung._tag === "tool" && rung.name === "health"))
      assert.deepStrictEqual(rungs.at(-1), { _tag: "tool", name: "health", arguments: { deep: false } })
    })
  )

  it.effect("9b: a tool that the server does not list fails the attempt, and the reason says so", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ probe: { method: "tool", tool: { name: "absent" } } })
      assert.deepStrictEqual(untimed(yield* kept.backend.state), {
        _tag: "Disconnected",
        attempt: 1,
        reason: "tool_missing"
      })
    })
  )

  it.effect("10: stopping ends the monitoring before the connection closes", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const rungs: Array<boolean> = []
      yield* Effect.scoped(
        Effect.gen(function* () {
          const { connector } = server
          const backend = yield* Backend.make({
            id: "stopped",
            connector: {
              ...connector,
              open: (host) =>
                Effect.map(connector.open(host), (session) => ({
                  ...session,
                  probe: (rung: Connector.ProbeRung) => {
                    rungs.push(server.counts.open > 0)
                    return session.probe(rung)
                  }
                }))
            },
            policy: { interval: "1 second" }
          })
          yield* backend.awaitConnected
          yield* TestClock.adjust("10 seconds")
        })
      )
      const { length } = rungs
      assert.isAbove(length, 5)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(rungs.length, length)
      assert.isTrue(rungs.every((wasOpen) => wasOpen))
      assert.strictEqual(server.counts.open, 0)
    })
  )

  it.effect("11: stopping while a probe is under way is recorded as nothing at all", () =>
    Effect.gen(function* () {
      const events: Array<Event> = []
      const server = ScriptedServer.make()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const backend = yield* Backend.make({
            id: "stopped",
            connector: server.connector,
            policy: { interval: "10 seconds" }
          }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
          yield* backend.awaitConnected
          server.script.probe = ScriptedServer.silence
          yield* TestClock.adjust("3 seconds")
        })
      )
      assert.strictEqual(events.filter(({ _tag }) => _tag === "ProbeSent").length, 1)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "ProbeFailed").length, 0)
    })
  )

  it.effect("an answer of -32601 to the probe is life", () =>
    Effect.gen(function* () {
      const rungs: Array<Connector.ProbeRung> = []
      const kept = yield* keep({ probe: "ping" }, { rungs })
      kept.server.script.probe = ScriptedServer.error(-32601)
      yield* kept.backend.probe
      yield* kept.backend.probe
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
      assert.strictEqual(rungs.at(-1)?._tag, "list-tools")
    })
  )
})

describe("the keepalive of the command-line client", () => {
  it.effect("CONNECTED, UNHEALTHY, DISCONNECTED, in that order, and CONNECTED again", () =>
    Effect.gen(function* () {
      const kept = yield* keep(KeepalivePolicy.cli)
      kept.server.script.probe = ScriptedServer.silence
      kept.server.script.connect = ScriptedServer.unreachable()
      yield* TestClock.adjust("7 minutes")
      kept.server.script.probe = ScriptedServer.answer
      kept.server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("6 minutes")
      const states = kept.events.flatMap((event) => (event._tag === "StateChanged" ? [event.to._tag] : []))
      const seen = ["Connected", "Unhealthy", "Disconnected", "Connected"]
      assert.deepStrictEqual(
        states.filter((state) => seen.includes(state)).filter((state, index, all) => state !== all[index - 1]),
        seen
      )
    })
  )

  it.effect("the interval is 300 s if nothing is said, and ±10 % anew at every step", () =>
    Effect.gen(function* () {
      const kept = yield* keep()
      yield* TestClock.adjust("10 hours")
      const delays = gaps(probeTimes(kept.events))
      assert.isAbove(delays.length, 100)
      assert.isTrue(delays.every((delay) => delay >= 270_000 && delay <= 330_000))
      assert.isAbove(new Set(delays.map((delay) => Math.round(delay / 1000))).size, 20)
      assert.isAtMost(probeTimes(kept.events)[0] ?? Number.POSITIVE_INFINITY, 75_000)
    }).pipe(Random.withSeed("seeds"))
  )

  it.effect("attempts follow 1, 2, 4 … 300 s, and start at 1 s again once the backend was stable", () =>
    Effect.gen(function* () {
      const kept = yield* keep(KeepalivePolicy.cli)
      kept.server.script.connect = ScriptedServer.unreachable()
      kept.server.kill("reset")
      yield* TestClock.adjust("1 hour")
      const delays = kept.events.flatMap((event) =>
        event._tag === "AttemptScheduled" ? [Duration.toSeconds(event.delay)] : []
      )
      for (const [index, expected] of [1, 2, 4, 8, 16, 32, 64, 128, 256, 300].entries()) {
        const delay = delays[index] ?? 0
        assert.isAtLeast(delay, Math.min(expected * 0.8, 240))
        assert.isAtMost(delay, Math.min(expected * 1.2, 300))
      }
      kept.server.script.connect = ScriptedServer.answer
      yield* TestClock.adjust("20 minutes")
      assert.isAbove(kept.count("Stabilized"), 0)
      kept.server.script.connect = ScriptedServer.unreachable()
      const before = kept.count("AttemptScheduled")
      kept.server.kill("reset")
      yield* TestClock.adjust("10 seconds")
      const again = kept.events.filter(({ _tag }) => _tag === "AttemptScheduled")[before]
      assert(again?._tag === "AttemptScheduled")
      assert.isAtMost(Duration.toSeconds(again.delay), 1.2)
    }).pipe(Random.withSeed("seeds"))
  )

  it.effect("a backend that dies, hangs or flaps disturbs no other", () =>
    Effect.gen(function* () {
      const dying = yield* keep({ interval: "10 seconds" }, { id: "dying" })
      const hanging = yield* keep({ interval: "10 seconds" }, { id: "hanging" })
      const well = yield* keep({ interval: "10 seconds" }, { id: "well" })
      dying.server.script.connect = ScriptedServer.unreachable()
      dying.server.kill("reset")
      hanging.server.script.probe = ScriptedServer.silence
      hanging.server.script.connect = ScriptedServer.silence
      yield* TestClock.adjust("10 minutes")
      assert.approximately(well.count("ProbeSucceeded"), 60, 6)
      assert.strictEqual(yield* well.backend.use(echo), "echo")
      assert.deepStrictEqual(untimed(yield* well.backend.state), { _tag: "Connected", generation: 1 })
    })
  )

  it.effect("no secret that a tool or an answer carries is in an event or an error", () =>
    Effect.gen(function* () {
      const kept = yield* keep({ interval: "10 seconds", waitForSession: "1 second" })
      const replies = [
        ScriptedServer.error(-32603),
        ScriptedServer.refuse(400),
        ScriptedServer.refuse(500),
        ScriptedServer.cut
      ]
      const said: Array<unknown> = []
      for (const reply of replies) {
        kept.server.script.call = () => reply
        const error = yield* Effect.flip(kept.backend.use((client) => client.callTool("s3cr3t-tool")))
        said.push(String(error), error.message, { ...error, cause: undefined })
      }
      assert.strictEqual(said.length, 12)
      assert.notInclude(JSON.stringify([said, kept.events]), "s3cr3t")
    })
  )

  it("an answer that is not HTTP 200 is no death: every 2xx and 4xx to OPTIONS is alive", () => {
    for (const status of [200, 204, 400, 404, 405]) {
      const evidence = Evidence.refused({ status, withSession: true })
      assert.deepStrictEqual(Evidence.ofProbe(evidence, { deep: false, httpOnly: true }), { _tag: "Succeeded" })
    }
  })
})
