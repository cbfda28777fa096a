/** Servers that others wrote, as they are mostly configured. */
import { assert, describe } from "@effect/vitest"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import {
  executing,
  inShell,
  isRenewed,
  keep,
  leavesOf,
  only,
  promise,
  quick,
  quickBound,
  quickShutdown,
  text,
  together
} from "./support.ts"

const { everything, everythingThroughNpx, filesystem, memory, throughShell } = StdioServers
const everythingThroughShell = Effect.map(everything, throughShell)

const answers = (kept: Effect.Success<ReturnType<typeof keep>>, server: StdioServers.StdioServer, message: string) =>
  Effect.map(kept.call(server.echo(message)), (result) => assert.include(text(result), message))

describe("a real server connects, answers, and comes back when its process was killed", () => {
  const promise = together()

  const servers = { everything, filesystem, memory, everythingThroughNpx, everythingThroughShell }
  for (const [name, make] of Object.entries(servers))
    promise(name, () =>
      Effect.gen(function* () {
        const server = yield* make
        const kept = yield* keep(server)
        yield* answers(kept, server, "before")
        const first = kept.pid()
        kept.signal("SIGKILL")
        const { detail, generation, reason } = yield* kept.event("SessionClosed")
        assert.deepStrictEqual([generation, reason, detail], [1, "process_exit", "signal SIGKILL"])
        assert.deepStrictEqual(untimed(yield* kept.until(isRenewed())), { _tag: "Connected", generation: 2 })
        assert.deepStrictEqual(ProcessGroups.members(first), [])
        yield* answers(kept, server, "after")
        assert.strictEqual(yield* server.starts, 2)
        assert.strictEqual((yield* server.executions).length, 2)
        assert.deepStrictEqual(
          kept.spawns.map(({ others }) => others),
          [[], []]
        )
      })
    )
})

describe("when only the real server behind a wrapper is killed", () => {
  const promise = together()

  const endings = [
    ["npx ends with it", everythingThroughNpx, /^(exit code \d+|signal SIG[A-Z]+)$/],
    ["a shell ends with it", everythingThroughShell, /^exit code 0$/]
  ] as const
  for (const [name, make, detail] of endings)
    promise(`${name}, and the session is replaced at once`, () =>
      Effect.gen(function* () {
        const server = yield* make
        const kept = yield* keep(server)
        yield* answers(kept, server, "before")
        const [real] = leavesOf(kept.pid())
        assert.notStrictEqual(real?.pid, kept.pid())
        kept.signal("SIGKILL", real?.pid)
        const closed = yield* kept.event("SessionClosed")
        assert.strictEqual(closed.reason, "process_exit")
        assert.match(closed.detail ?? "", detail)
        yield* kept.until(isRenewed())
        yield* answers(kept, server, "after")
        assert.deepStrictEqual(kept.spawns.at(-1)?.others, [])
      })
    )

  promise("a wrapper that goes on hides it, and the probes notice", () =>
    Effect.gen(function* () {
      const server = inShell(yield* everything, (server) => `${server}; exec sleep 600`)
      const kept = yield* keep(server, { policy: quick, connector: { shutdown: quickShutdown } })
      yield* answers(kept, server, "before")
      const first = kept.pid()
      const [real] = leavesOf(first)
      const killedAt = kept.signal("SIGKILL", real?.pid)
      const closed = yield* kept.event("SessionClosed", killedAt)
      assert.deepStrictEqual([closed.reason, closed.detail], ["timeout", undefined])
      assert.isBelow(closed.seenAt - killedAt, quickBound + 1000)
      yield* kept.until(isRenewed(closed.generation))
      assert.deepStrictEqual(ProcessGroups.members(first), [])
      yield* answers(kept, server, "after")
      assert.isAbove(only(kept.events, "ProbeFailed").length, 1)
    })
  )
})

promise("a server that ends by itself in the midst of a call is started again, with its exit code in the error", () =>
  Effect.gen(function* () {
    const server = yield* StdioServers.scripted({ stderr: ["I was here"] })
    const kept = yield* keep(server)
    yield* answers(kept, server, "before")
    const error = yield* Effect.flip(kept.call({ name: "exit", arguments: { code: 9 } }))
    assert(error._tag === "OutcomeUnknown")
    assert.deepStrictEqual(error.detail, { summary: "exit code 9", output: ["I was here"] })
    yield* kept.until(isRenewed())
    yield* answers(kept, server, "after")
    yield* executing(server, 3)
  })
)
