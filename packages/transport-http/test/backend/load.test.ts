/** Load has limits: what core promises in virtual time, on real servers over real sockets. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { assert, describe, it } from "@effect/vitest"
import { Backend, type BackendError, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { Fault, FaultProxy, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Exit, Fiber } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { quick } from "./support.ts"

const { Control } = ScriptedServer

/** A backend on that address, connected, with what it told of itself. */
const kept = Effect.fnUntraced(function* (id: string, url: string, policy: KeepalivePolicy.Options) {
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const backend = yield* Backend.make({
    id,
    connector: HttpConnector.make({ url }),
    policy: { ...quick, interval: "1 hour", ...policy }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => void events.push(event))))
  yield* backend.awaitConnected
  const count = (tag: KeepaliveEvent.KeepaliveEvent["_tag"]) => events.filter(({ _tag }) => _tag === tag).length
  return { backend, events, count }
})

type Ended = Exit.Exit<unknown, BackendError.CallError>

const slow = (ms: number) => ({ name: "slow", arguments: { ms } })

const call = (backend: Backend.Backend<Client>, tool: { name: string; arguments: Record<string, unknown> }) =>
  backend.use((client, signal) => client.callTool(tool, undefined, { signal }))

const quantile = (values: ReadonlyArray<number>, share: number) =>
  values.toSorted((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * share))] ?? Number.NaN

describe("5,000 calls at once, of which 8 may run and 100 wait", () => {
  it.live("run in their order, eight at a time; the others are rejected in under 1 ms each, with a time", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { backend, count } = yield* kept("busy", server.url, { maxConcurrent: 8, queue: 100 })
      // until a call has ended nobody knows how long one takes
      yield* Effect.all(
        Array.from({ length: 8 }, () => call(backend, slow(100))),
        { concurrency: "unbounded" }
      )
      const before = (yield* server.executions).length

      const began: Array<number> = []
      const took: Array<number> = []
      const ended = new Map<number, Ended>()
      let running = 0
      let most = 0
      const at = performance.now()
      const cpu = process.threadCpuUsage()
      const fibers = Array.from({ length: 5000 }, (_, number) => {
        const start = performance.now()
        const fiber = Effect.runFork(
          backend.use(async (client, signal) => {
            began.push(number)
            most = Math.max(most, ++running)
            try {
              return await client.callTool(slow(100), undefined, { signal })
            } finally {
              running--
            }
          })
        )
        if (fiber.pollUnsafe() !== undefined) took.push(performance.now() - start)
        fiber.addObserver((exit) => void ended.set(number, exit))
        return fiber
      })
      // what this thread worked for each, the admitted ones included: not what others on the machine did meanwhile
      const { system, user } = process.threadCpuUsage(cpu)
      const worked = (system + user) / 5000
      assert.strictEqual(count("CallQueued") - count("CallDequeued"), 100)
      assert.strictEqual(took.length, 4892)
      yield* Effect.forEach(fibers, Fiber.await, { discard: true })
      const passed = performance.now() - at

      assert.deepStrictEqual(
        began,
        Array.from({ length: 108 }, (_, number) => number)
      )
      assert.strictEqual(most, 8)
      assert.strictEqual((yield* server.executions).length - before, 108)
      for (const number of began) assert.isTrue(Exit.isSuccess(ended.get(number) ?? Exit.void), `${number}`)
      const last = fibers[4999]
      assert(last !== undefined)
      const error = yield* Effect.flip(Fiber.join(last))
      assert(error._tag === "CallRejected" && error.retryAfter !== undefined)
      assert.strictEqual(error.reason, "overloaded")
      const told = Duration.toMillis(error.retryAfter)
      console.log(
        `over HTTP, of 5,000 calls 108 ran in order, ${most} at a time; 4,892 were rejected in ` +
          `${(1000 * quantile(took, 0.5)).toFixed(0)} µs each (p99 ${quantile(took, 0.99).toFixed(2)} ms), told to come again in ` +
          `${told.toFixed(0)} ms; the last of the others had ended after ${passed.toFixed(0)} ms`
      )
      assert.isBelow(worked, 1000)
      assert.isBelow(quantile(took, 0.9), 1)
      assert.isAtLeast(told, 0.5 * passed)
      assert.isAtMost(told, 1.5 * passed)
    })
  )
})

describe("a server that forgets its sessions again and again under load", () => {
  it.live("is met with no more calls that are run again than their budget, and each caller is told the truth", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { backend, count } = yield* kept("flapping", server.url, { circuit: "none" })
      let runs = 0
      const fibers: Array<Fiber.Fiber<unknown, BackendError.CallError>> = []
      for (let round = 0; round < 12; round++) {
        yield* server.control(Control.ExpireSessions())
        for (let each = 0; each < 20; each++) {
          fibers.push(
            Effect.runFork(
              backend.use((client, signal) => {
                runs++
                return client.callTool(slow(20), undefined, { signal })
              })
            )
          )
        }
        yield* Effect.forEach(fibers, Fiber.await, { discard: true })
      }
      const calls = fibers.length
      const replays = runs - calls
      const ends = new Map<string, number>()
      for (const fiber of fibers) {
        const exit = yield* Fiber.await(fiber)
        const end = Exit.isSuccess(exit) ? "ok" : yield* Effect.map(Effect.flip(Fiber.join(fiber)), reasonOf)
        ends.set(end, (ends.get(end) ?? 0) + 1)
      }
      console.log(
        `over HTTP, a server that forgot its sessions 12 times under ${calls} calls: ${replays} run again ` +
          `(${((100 * replays) / calls).toFixed(1)} %), ${count("ReplayDenied")} denied; ` +
          [...ends].map(([end, times]) => `${times} ${end}`).join(", ")
      )
      assert.isAtMost(replays, 0.2 * calls)
      assert.isAbove(replays, 0)
      assert.isAbove(count("ReplayDenied"), 0)
      assert.includeMembers(["ok", "CallFailed session_lost"], [...ends.keys()])
      // at most once: what was refused was not executed
      assert.strictEqual((yield* server.executions).length, ends.get("ok"))
    })
  )
})

const reasonOf = (error: BackendError.CallError) => `${error._tag} ${error.reason}`

describe("a session with maxLifetime", () => {
  it.live("is replaced beside its calls: they end well, none fails, and the generation goes up", () =>
    Effect.gen(function* () {
      const server = yield* ScriptedServer.make()
      const { backend, count, events } = yield* kept("aging", server.url, {
        maxLifetime: "500 millis",
        drainTimeout: "5 seconds"
      })
      // each call takes longer than a tenth of a session's life, so that several are under way at every replacement
      const fibers: Array<Fiber.Fiber<unknown, BackendError.CallError>> = []
      for (let each = 0; each < 60; each++) {
        fibers.push(Effect.runFork(call(backend, slow(300))))
        yield* Effect.sleep("50 millis")
      }
      for (const fiber of fibers) yield* Fiber.join(fiber)
      const state = yield* backend.state
      assert(state._tag === "Connected")
      const drained = count("SessionDraining")
      console.log(
        `over HTTP, maxLifetime 500 ms for 3 s: ${fibers.length} calls ended well, generation ${state.generation}, ` +
          `${count("SessionExpired")} sessions expired, ${drained} of them with calls under way`
      )
      assert.isAtLeast(state.generation, 4)
      assert.isAtLeast(drained, 3)
      assert.strictEqual((yield* server.executions).length, fibers.length)
      const reasons = events.flatMap((event) => (event._tag === "SessionClosed" ? [event.reason] : []))
      assert.isTrue(reasons.every((reason) => reason === "closed"))
      assert.isFalse(events.some((event) => event._tag === "StateChanged" && event.to._tag !== "Connected"))
    })
  )
})

describe("beside a black hole, a server that takes 30 s and one that floods", () => {
  it.live("every call to the others succeeds", () =>
    Effect.gen(function* () {
      const bad = yield* ScriptedServer.make()
      const good = yield* ScriptedServer.make()
      const proxy = yield* FaultProxy.make({ target: { port: bad.port } })
      const limits = { maxConcurrent: 8, queue: 20 } as const
      const hole = yield* kept("black hole", `${proxy.url}/mcp`, limits)
      const late = yield* kept("late", bad.url, limits)
      const flood = yield* kept("flood", bad.url, limits)
      const others = yield* Effect.all(["a", "b", "c"].map((id) => kept(id, good.url, limits)))
      yield* proxy.inject(Fault.SilentDrop())
      let told = 0
      const disturbing = [
        ...Array.from({ length: 100 }, () => call(hole.backend, slow(1))),
        ...Array.from({ length: 100 }, () => call(late.backend, slow(30_000))),
        ...Array.from({ length: 4 }, () =>
          flood.backend.use((client, signal) =>
            client.callTool({ name: "progress", arguments: { ms: 30_000, everyMs: 1 } }, undefined, {
              signal,
              onprogress: () => void told++
            })
          )
        )
      ]
      const fibers = disturbing.map((each) => Effect.runFork(each))
      const took: Array<number> = []
      for (let round = 0; round < 100; round++) {
        yield* Effect.forEach(
          others,
          ({ backend }) => {
            const began = performance.now()
            return Effect.tap(call(backend, slow(10)), () =>
              Effect.sync(() => void took.push(performance.now() - began))
            )
          },
          { concurrency: "unbounded" }
        )
      }
      console.log(
        `beside ${told} notifications of a flood: ${took.length} calls of 10 ms succeeded, ` +
          `p50 ${quantile(took, 0.5).toFixed(1)} ms, p99 ${quantile(took, 0.99).toFixed(1)} ms`
      )
      assert.strictEqual(took.length, 300)
      assert.isAbove(told, 100)
      assert.strictEqual(hole.count("CallQueued"), 20)
      assert.strictEqual(late.count("CallQueued"), 20)
      for (const { events } of others) assert.isFalse(events.some(({ _tag }) => _tag === "SessionClosed"))
      yield* Effect.forEach(fibers, Fiber.interrupt, { discard: true, concurrency: "unbounded" })
    })
  )
})
