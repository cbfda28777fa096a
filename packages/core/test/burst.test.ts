/** Very many calls at once: what each of them costs does not grow with their number. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Backend } from "../src/index.ts"
import { Turns } from "../src/internal/turns.ts"
import { ScriptedServer } from "../src/testing/index.ts"

/** What this thread has worked so far, in milliseconds: not what others on the machine did meanwhile. */
const worked = () => {
  const { system, user } = process.threadCpuUsage()
  return (system + user) / 1000
}

describe("turns", () => {
  it("resume 300,000 who wait in under a second, in their order", () => {
    const count = 300_000
    const turns = new Turns<never>({ take: () => {}, atRest: () => {} })
    let next = 0
    let isOrdered = true
    const began = worked()
    for (let index = 0; index < count; index++) {
      turns.later(() => {
        isOrdered &&= next === index
        next++
      })
    }
    turns.settle()
    assert.isBelow(worked() - began, 1000)
    assert.strictEqual(next, count)
    assert.isTrue(isOrdered)
  })

  it("take signals in their order, also those that arise meanwhile, before anybody is resumed", () => {
    const told: Array<string> = []
    const turns = new Turns<string>({
      take: (signal) => {
        told.push(signal)
        if (signal.length < 3) turns.send(`${signal}!`)
        turns.later(() => {
          told.push(`after ${signal}`)
          if (signal === "b") turns.send("c!!")
        })
      },
      atRest: () => told.push("rest")
    })
    turns.send("a!")
    turns.send("b")
    assert.deepStrictEqual(told, [
      ...["a!", "a!!", "after a!", "after a!!", "rest"],
      ...["b", "b!", "b!!", "after b", "c!!", "after b!", "after b!!", "after c!!", "rest"]
    ])
  })
})

describe("a session that comes", () => {
  it.live(
    "lets 100,000 who wait for it go on in under a second",
    () =>
      Effect.gen(function* () {
        const count = 100_000
        const server = ScriptedServer.make()
        const backend = yield* Backend.make({
          id: "scripted",
          connector: server.connector,
          policy: { connect: "lazy" }
        })
        server.script.latency = "500 millis"
        let began = 0
        let settled = 0
        const ended = new Promise<number>((resolve) => {
          for (let index = 0; index < count; index++) {
            Effect.runFork(backend.awaitConnected).addObserver(() => {
              if (++settled === 1) began = worked()
              if (settled === count) resolve(worked())
            })
          }
        })
        assert.isBelow((yield* Effect.promise(() => ended)) - began, 1000)
        assert.strictEqual(server.counts.attempts, 1)
      }),
    60_000
  )
})

describe("a session that dies under 2,000 calls", () => {
  const died = Effect.gen(function* () {
    const count = 2000
    const server = ScriptedServer.make()
    const backend = yield* Backend.make({ id: "scripted", connector: server.connector, policy: { stableAfter: 0 } })
    yield* backend.use((client) => client.callTool("first"))
    server.script.call = () => ScriptedServer.silence
    const errors: Array<Error> = []
    const ended = new Promise<number>((resolve) => {
      for (let index = 0; index < count; index++) {
        const call = Effect.flip(backend.use((client) => client.callTool("echo")))
        Effect.runFork(
          Effect.map(call, (error) => {
            if (errors.push(error) === count) resolve(worked())
          })
        )
      }
    })
    const began = worked()
    server.kill("reset", { summary: "ECONNRESET on read", output: [] })
    return { errors, took: (yield* Effect.promise(() => ended)) - began }
  })

  it.live("has settled the last of them within 300 ms", () =>
    Effect.gen(function* () {
      const { errors, took } = yield* died
      assert.isBelow(took, 300)
      assert.isTrue(errors.every(({ name }) => name === "OutcomeUnknown"))
    })
  )

  it.live("captures no stack for them, and leaves the limit of stacks as it was", () =>
    Effect.gen(function* () {
      const before = Error.stackTraceLimit
      const { errors } = yield* died
      const [error] = errors
      assert.isDefined(error)
      assert.strictEqual(
        error?.stack,
        'OutcomeUnknown: The outcome of a call to backend "scripted" is unknown (reset, ECONNRESET on read)'
      )
      assert.isTrue(errors.every(({ stack }) => stack === error?.stack))
      assert.strictEqual(Error.stackTraceLimit, before)
      assert.include(new Error("mine").stack, "burst.test.ts")
    })
  )

  it.live("aborts their signals with an AbortError", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const backend = yield* Backend.make({ id: "scripted", connector: server.connector })
      yield* backend.awaitConnected
      const reasons: Array<unknown> = []
      const call = backend.use((_client, signal) => {
        signal.addEventListener("abort", () => reasons.push(signal.reason))
        queueMicrotask(() => server.kill("reset"))
        return new Promise<never>(() => {})
      })
      yield* Effect.exit(Effect.timeout(call, "1 second"))
      const [reason] = reasons
      assert(reason instanceof DOMException)
      assert.strictEqual(reason.name, "AbortError")
    })
  )
})
