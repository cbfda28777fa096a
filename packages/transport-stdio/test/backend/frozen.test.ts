/** Children that live and do not answer: frozen ones are replaced, one that works is not. */
import { assert, describe } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import {
  executing,
  is,
  isRenewed,
  keep,
  leavesOf,
  only,
  path,
  quick,
  quickBound,
  quickShutdown,
  text,
  together
} from "./support.ts"

const { everythingThroughNpx, scripted, throughShell } = StdioServers

/** The machine does other work, too. */
const margin = 1000

describe("a frozen child is noticed by probes within the bound and has ended before the next one starts", () => {
  const promise = together()

  const everyone = (group: number) => -group
  const realOne = (group: number) => leavesOf(group)[0]?.pid ?? Number.NaN
  const kinds = [
    ["the server itself", scripted(), everyone],
    ["all of sh -c and its server", Effect.map(scripted(), throughShell), everyone],
    ["only the server in sh -c", Effect.map(scripted(), throughShell), realOne],
    ["all of npx and its server", everythingThroughNpx, everyone],
    ["only the server in npx", everythingThroughNpx, realOne]
  ] as const
  for (const [name, make, whom] of kinds)
    promise(name, () =>
      Effect.gen(function* () {
        const server = yield* make
        const kept = yield* keep(server, { policy: quick, connector: { shutdown: quickShutdown } })
        yield* kept.call(server.echo("before"))
        const first = kept.pid()
        const frozenAt = kept.signal("SIGSTOP", whom(first))
        const closed = yield* kept.event("SessionClosed", frozenAt)
        assert.strictEqual(closed.reason, "timeout")
        assert.isBelow(closed.seenAt - frozenAt, quickBound + margin)
        yield* kept.until(isRenewed(closed.generation))
        assert.deepStrictEqual(ProcessGroups.members(first), [])
        assert.deepStrictEqual(
          kept.spawns.flatMap(({ others }) => others),
          []
        )
        const states = path(kept.events.filter(({ seenAt }) => seenAt > frozenAt))
        assert.deepStrictEqual(states, ["Unhealthy", "Connecting", "Connected"])
        assert.include(text(yield* kept.call(server.echo("after"))), "after")
      })
    )
})

describe("a child that does not answer probes for a while", () => {
  const promise = together()

  const blocked = (ms: number) => ({ name: "block", arguments: { ms } })

  promise(
    "because it works on a call is not killed: it is Unhealthy, answers, and is Connected as the same process",
    () =>
      Effect.gen(function* () {
        const server = yield* scripted()
        const kept = yield* keep(server, { policy: quick })
        const pid = text(yield* kept.call({ name: "pid", arguments: {} }))
        const call = yield* Effect.forkChild(kept.call(blocked(3000)))
        yield* kept.until(is("Unhealthy"))
        assert.include(text(yield* Fiber.join(call)), "done")
        assert.deepStrictEqual(untimed(yield* kept.until(is("Connected"))), { _tag: "Connected", generation: 1 })
        // two of them would have ended the session without the call
        assert.isAtLeast(only(kept.events, "ProbeFailed").length, 3)
        assert.strictEqual(text(yield* kept.call({ name: "pid", arguments: {} })), pid)
        // the second one says that the call holds it
        assert.deepStrictEqual(path(kept.events), ["Connected", "Unhealthy", "Unhealthy", "Connected"])
        assert.strictEqual(kept.spawns.length, 1)
      })
  )

  promise("because it works on a call is killed after inFlightGrace, and the call's outcome is unknown", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const policy = { ...quick, inFlightGrace: "1 second" } as const
      const kept = yield* keep(server, { policy, connector: { shutdown: quickShutdown } })
      const call = yield* Effect.forkChild(Effect.flip(kept.call(blocked(60_000))))
      yield* executing(server)
      const error = yield* Fiber.join(call)
      assert(error._tag === "OutcomeUnknown")
      assert.deepStrictEqual([error.reason, error.generation, error.detail], ["timeout", 1, undefined])
      yield* kept.until(isRenewed())
      assert.deepStrictEqual(kept.spawns.at(-1)?.others, [])
      assert.strictEqual((yield* server.executions).length, 1)
    })
  )

  promise("keeps its session when it was only frozen for a moment", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server, { policy: { ...quick, failureThreshold: 20 } })
      yield* kept.call(server.echo("before"))
      kept.signal("SIGSTOP")
      yield* kept.until(is("Unhealthy"))
      kept.signal("SIGCONT")
      assert.deepStrictEqual(untimed(yield* kept.until(is("Connected"))), { _tag: "Connected", generation: 1 })
      assert.strictEqual(kept.spawns.length, 1)
    })
  )

  promise("gets no call after staleAfter: it is asked first, replaced, and the call runs once on the new one", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const policy = { ...quick, interval: "1 hour", staleAfter: "100 millis" } as const
      const kept = yield* keep(server, { policy, connector: { shutdown: quickShutdown } })
      yield* kept.call(server.echo("before"))
      kept.signal("SIGSTOP")
      yield* Effect.sleep("150 millis")
      assert.include(text(yield* kept.call(server.echo("once"))), "once")
      assert.deepStrictEqual(path(kept.events), ["Connected", "Connecting", "Connected"])
      assert.deepStrictEqual(
        (yield* server.executions).map((execution) => execution.arguments),
        [{ message: "before" }, { message: "once" }]
      )
    })
  )
})
