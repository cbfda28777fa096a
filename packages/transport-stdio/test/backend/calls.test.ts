/** The truth about calls whose server was killed under them. */
import { assert, describe } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { AnySchema } from "@modelcontextprotocol/sdk/server/zod-compat.js"
import type { RequestOptions } from "@modelcontextprotocol/sdk/shared/protocol.js"
import type { ClientRequest } from "@modelcontextprotocol/sdk/types.js"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import { bareChild, median } from "../timing.ts"
import { executing, isRenewed, keep, only, promise, text } from "./support.ts"

const { everything, scripted } = StdioServers

/** How often something is measured of which the median counts. */
const tries = 11

promise("a killed child is noticed within 50 ms, and a call in flight fails within 50 ms", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const kept = yield* keep(server)
    const noticed: Array<number> = []
    const failed: Array<number> = []
    const bare: Array<number> = []
    for (let generation = 1; generation <= tries; generation++) {
      const call = yield* Effect.forkChild(
        Effect.map(Effect.flip(kept.call(server.slow(60))), (error) => ({ error, at: performance.now() }))
      )
      yield* executing(server, generation)
      const beside = yield* bareChild
      const killing = yield* Effect.forkChild(beside.kill, { startImmediately: true })
      const killedAt = kept.signal("SIGKILL")
      const { at, error } = yield* Fiber.join(call)
      bare.push(yield* Fiber.join(killing))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      failed.push(at - killedAt)
      const closed = yield* kept.event("SessionClosed", killedAt)
      assert.deepStrictEqual([closed.reason, closed.detail], ["process_exit", "signal SIGKILL"])
      noticed.push(closed.seenAt - killedAt)
      yield* kept.until(isRenewed(generation))
    }
    const [notice, failure, exit] = [median(noticed), median(failed), median(bare)].map((each) => each.toFixed(1))
    console.log(
      `measured: a kill noticed: ${notice} ms, its call failed: ${failure} ms; a bare child's exit: ${exit} ms`
    )
    const beyond = (took: ReadonlyArray<number>) => median(took.map((each, index) => each - (bare[index] ?? 0)))
    assert.isAtMost(beyond(noticed), 50)
    assert.isAtMost(beyond(failed), 50)
  })
)

describe("a call in flight when its server is killed", () => {
  for (const [name, make] of [
    ["scripted", scripted()],
    ["everything", everything]
  ] as const)
    promise(`fails with OutcomeUnknown that tells the signal, and is not executed again: ${name}`, () =>
      Effect.gen(function* () {
        const server = yield* make
        const kept = yield* keep(server)
        yield* kept.call(server.echo("stable"))
        const call = yield* Effect.forkChild(Effect.flip(kept.call(server.slow(60))))
        yield* executing(server, 2)
        kept.signal("SIGKILL")
        const error = yield* Fiber.join(call)
        assert(error._tag === "OutcomeUnknown")
        const { detail, generation, reason } = error
        assert.deepStrictEqual([generation, reason, detail?.summary], [1, "process_exit", "signal SIGKILL"])
        yield* kept.until(isRenewed())
        assert.include(text(yield* kept.call(server.echo("after"))), "after")
        assert.deepStrictEqual(
          (yield* server.executions).map(({ tool }) => tool),
          ["echo", server.slow(60).name, "echo"]
        )
      })
    )

  promise("is run again on the new session when it is idempotent, and succeeds", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server)
      yield* kept.call(server.echo("stable"))
      const call = yield* Effect.forkChild(kept.call(server.slow(0.5), { idempotent: true }))
      yield* executing(server, 2)
      kept.signal("SIGKILL")
      assert.include(text(yield* Fiber.join(call)), "done")
      assert.deepStrictEqual(
        (yield* server.executions).map(({ tool }) => tool),
        ["echo", "slow", "slow"]
      )
      assert.deepStrictEqual(
        only(kept.events, "CallSettled").map(({ outcome, replayed }) => [outcome, replayed]),
        [
          ["ok", false],
          ["ok", true]
        ]
      )
    })
  )

  promise("is run again once when it kills every server itself, and twice where nothing bounds what is run again", () =>
    Effect.gen(function* () {
      for (const [policy, executions] of [
        [{}, 2],
        [{ replayBudget: "none" }, 3]
      ] as const) {
        const server = yield* scripted()
        const kept = yield* keep(server, { policy: { circuit: "none", ...policy } })
        const error = yield* Effect.flip(kept.call({ name: "kill", arguments: {} }, { idempotent: true }))
        assert(error._tag === "OutcomeUnknown")
        assert.deepStrictEqual([error.reason, error.detail?.summary], ["process_exit", "signal SIGKILL"])
        assert.strictEqual((yield* server.executions).length, executions)
      }
    })
  )
})

promise("an answer that is too long is the server's answer: its call fails, says why, and is not run again", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const kept = yield* keep(server, { connector: { limits: { messageBytes: 64 * 1024 } } })
    for (const [index, idempotent] of [false, true].entries()) {
      const error = yield* Effect.flip(kept.call({ name: "longLine", arguments: { bytes: 100_000 } }, { idempotent }))
      assert(error._tag === "CallFailed")
      assert.include(String(error.cause), "longer than limits.messageBytes")
      assert.strictEqual((yield* server.executions).length, index + 1)
    }
    yield* kept.backend.probe
    assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 1 })
  })
)

describe("a client of the user's own that does something else before each request", () => {
  class Waiting extends Client {
    override async request<Schema extends AnySchema>(request: ClientRequest, schema: Schema, options?: RequestOptions) {
      await Promise.resolve()
      return super.request(request, schema, options)
    }
  }
  const client = () => new Waiting({ name: "test", version: "1" })

  promise("has its calls executed at most once, and its probes answered", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server, { connector: { client }, policy: { probe: "ping" } })
      yield* kept.backend.probe
      assert.deepStrictEqual(only(kept.events, "ProbeFailed"), [])
      const error = yield* Effect.flip(kept.call({ name: "kill", arguments: {} }))
      assert.strictEqual(error._tag, "OutcomeUnknown")
      yield* kept.until(isRenewed())
      assert.strictEqual((yield* server.executions).length, 1)
    })
  )
})

promise("an answer that a server wrote just before it died is the truth", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const kept = yield* keep(server)
    for (const code of [1, 2, 3, 4, 5]) {
      const begun = performance.now()
      yield* kept.call(server.echo("stable"))
      assert.include(text(yield* kept.call({ name: "answerAndExit", arguments: { code } })), "done")
      const closed = yield* kept.event("SessionClosed", begun)
      assert.deepStrictEqual([closed.reason, closed.detail], ["process_exit", `exit code ${code}`])
      yield* kept.until(isRenewed(code))
    }
    assert.strictEqual((yield* server.executions).length, 10)
  })
)

describe("a call that was not sent when its server was killed runs once, on the new session", () => {
  promise("because there was no session yet", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ startDelay: 300 })
      const kept = yield* keep(server)
      yield* kept.call(server.echo("stable"))
      const killedAt = kept.signal("SIGKILL")
      yield* kept.event("SessionClosed", killedAt)
      const answer = yield* kept.call(server.echo("waited"))
      assert.include(text(answer), "waited")
      assert.strictEqual((yield* server.executions).length, 2)
      assert.deepStrictEqual(untimed(yield* kept.backend.state), { _tag: "Connected", generation: 2 })
    })
  )

  promise("because the server did not read", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server)
      yield* kept.call(server.echo("stable"))
      kept.signal("SIGSTOP")
      // more than any pipe holds
      const sending = yield* Effect.forkChild(Effect.flip(kept.call(server.echo("x".repeat(4_000_000)))), {
        startImmediately: true
      })
      const unsent = yield* Effect.forkChild(kept.call(server.echo("unsent")), { startImmediately: true })
      kept.signal("SIGKILL")
      const error = yield* Fiber.join(sending)
      assert(error._tag === "OutcomeUnknown")
      assert.include(text(yield* Fiber.join(unsent)), "unsent")
      assert.deepStrictEqual(
        (yield* server.executions).map((execution) => execution.arguments),
        [{ message: "stable" }, { message: "unsent" }]
      )
    })
  )
})

promise("20 calls around a kill settle exactly once each, and none is executed twice", () =>
  Effect.gen(function* () {
    const server = yield* scripted()
    const kept = yield* keep(server)
    yield* kept.call(server.echo("stable"))
    const begin = (index: number) =>
      Effect.forkChild(kept.call({ name: "slow", arguments: { ms: index < 5 ? index : 60_000 - index } }), {
        startImmediately: true
      })
    const calls = yield* Effect.forEach(Array.from({ length: 15 }).keys(), begin)
    yield* executing(server, 16)
    kept.signal("SIGKILL")
    // written into the pipe of a process that is dead, or waiting already: who knows
    const late = [15, 16, 17, 18, 19]
    calls.push(...(yield* Effect.forEach(late, () => Effect.forkChild(kept.call(server.echo("late"))))))
    const exits = yield* Effect.forEach(calls, (call) => Effect.timeout(Fiber.await(call), "10 seconds"))
    yield* kept.until(isRenewed())

    const outcomes = only(kept.events, "CallSettled").map(({ outcome }) => outcome)
    assert.strictEqual(outcomes.length, 1 + 20)
    const unknown = exits.filter((exit) => Exit.isFailure(exit)).length
    assert.strictEqual(outcomes.filter((outcome) => outcome === "outcome_unknown").length, unknown)
    assert.isAtLeast(unknown, 10)
    const executions = yield* server.executions
    const slow = executions.flatMap(({ tool, arguments: args }) => (tool === "slow" ? [text(args)] : []))
    assert.strictEqual(new Set(slow).size, slow.length)
    const answered = exits.slice(15).filter((exit) => Exit.isSuccess(exit)).length
    assert.strictEqual(executions.filter(({ arguments: args }) => text(args).includes("late")).length, answered)
    assert.deepStrictEqual(
      kept.spawns.map(({ others }) => others),
      [[], []]
    )
    assert.isAbove(ProcessGroups.members(kept.pid()).length, 0)
  })
)
