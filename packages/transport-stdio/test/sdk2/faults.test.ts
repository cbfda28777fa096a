/** What happens to children of both eras alike: each fault for a server of either, on SDK 1.x and 2.x. */
import { assert, describe } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/client"
import { untimed } from "@vmcp-keepalive/core/ConnectionState"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, FileSystem } from "effect"
import { eraOfCall, keep } from "./support.ts"
import {
  calm,
  executing,
  inShell,
  is,
  isRenewed,
  only,
  path,
  promise,
  quick,
  quickBound,
  quickShutdown,
  text,
  together
} from "../backend/support.ts"

const { everything, sdk2 } = StdioServers

const kinds = [
  ["modern, on SDK 2.x", sdk2({ era: "modern" }), "modern"],
  ["both eras, on SDK 2.x", sdk2({ era: "dual" }), "modern"],
  ["legacy, on SDK 2.x", sdk2({ era: "legacy" }), "legacy"],
  ["legacy, server-everything on SDK 1.x", everything, "legacy"]
] as const

/** The machine does other work, too. */
const margin = 1500

const connector = { shutdown: quickShutdown }

for (const [name, make, era] of kinds)
  describe(`a child of ${name}`, { timeout: 60_000 }, () => {
    const kept = (policy = calm, line: (server: string) => string = (server) => `exec ${server}`) =>
      Effect.gen(function* () {
        const server = inShell<StdioServers.SlowStdioServer>(yield* make, line)
        const found = yield* keep(server, { policy, connector })
        assert.strictEqual(yield* found.backend.use((client) => eraOfCall(client, server.echo("era"))), era)
        return { ...found, server, first: found.pid() }
      })

    promise("killed while idle is replaced at once, and is of that era again", () =>
      Effect.gen(function* () {
        const { backend, event, events, first, server, signal, spawns, until } = yield* kept()
        const at = signal("SIGKILL")
        const closed = yield* event("SessionClosed", at)
        assert.strictEqual(closed.reason, "process_exit")
        assert.isBelow(closed.seenAt - at, margin)
        yield* until(isRenewed())
        assert.deepStrictEqual(ProcessGroups.members(first), [])
        assert.deepStrictEqual(path(events), ["Connected", "Connecting", "Connected"])
        assert.strictEqual(yield* backend.use((client) => eraOfCall(client, server.echo("again"))), era)
        assert.deepStrictEqual(
          spawns.map(({ others }) => others),
          [[], []]
        )
      })
    )

    promise("killed under a call: its outcome is unknown, and it is not run again", () =>
      Effect.gen(function* () {
        const { call, server, signal, until } = yield* kept()
        const slow = yield* Effect.forkChild(Effect.flip(call(server.slow(30))))
        yield* executing(server, 2)
        const at = signal("SIGKILL")
        const error = yield* Fiber.join(slow)
        assert.isBelow(performance.now() - at, margin)
        assert(error._tag === "OutcomeUnknown")
        assert.deepStrictEqual([error.reason, error.generation], ["process_exit", 1])
        yield* until(isRenewed())
        assert.strictEqual((yield* server.executions).length, 2)
      })
    )

    promise("frozen is noticed by probes within the bound, and has ended before the next one starts", () =>
      Effect.gen(function* () {
        const { call, event, events, first, server, signal, spawns, until } = yield* kept({ ...calm, ...quick })
        const at = signal("SIGSTOP", -first)
        const closed = yield* event("SessionClosed", at)
        assert.strictEqual(closed.reason, "timeout")
        assert.isBelow(closed.seenAt - at, quickBound + margin)
        yield* until(isRenewed(closed.generation))
        assert.deepStrictEqual(
          spawns.flatMap(({ others }) => others),
          []
        )
        const states = path(events.filter(({ seenAt }) => seenAt > at))
        assert.deepStrictEqual(states, ["Unhealthy", "Connecting", "Connected"])
        assert.include(text(yield* call(server.echo("after"))), "after")
      })
    )

    promise("frozen under a call is held no longer than inFlightGrace; the outcome is unknown", () =>
      Effect.gen(function* () {
        const policy = { ...calm, ...quick, inFlightGrace: "1 second" } as const
        const { call, first, server, signal, until } = yield* kept(policy)
        const slow = yield* Effect.forkChild(Effect.flip(call(server.slow(30))))
        yield* executing(server, 2)
        signal("SIGSTOP", -first)
        const error = yield* Fiber.join(slow)
        assert(error._tag === "OutcomeUnknown")
        assert.strictEqual(error.reason, "timeout")
        yield* until(isRenewed())
        assert.strictEqual((yield* server.executions).length, 2)
      })
    )

    promise("ended by SIGTERM under a call is replaced by one of that era; the outcome is unknown", () =>
      Effect.gen(function* () {
        const { backend, call, server, signal, until } = yield* kept()
        const slow = yield* Effect.forkChild(Effect.flip(call(server.slow(30))))
        yield* executing(server, 2)
        signal("SIGTERM")
        assert.strictEqual((yield* Fiber.join(slow))._tag, "OutcomeUnknown")
        yield* until(isRenewed())
        assert.strictEqual(yield* backend.use((client) => eraOfCall(client, server.echo("again"))), era)
        assert.strictEqual((yield* server.executions).length, 3)
      })
    )

    promise("whose output ends in the midst of an answer is found out; the outcome is unknown", () =>
      Effect.gen(function* () {
        const policy = { ...calm, ...quick, inFlightGrace: "1 second" } as const
        const { backend, call, server, until } = yield* kept(
          policy,
          (command) => `${command} | dd bs=1 count=50000 2>/dev/null`
        )
        const long = server.echo("x".repeat(500_000))
        assert.strictEqual((yield* Effect.flip(call(long)))._tag, "OutcomeUnknown")
        yield* until(isRenewed())
        assert.strictEqual(yield* backend.use((client) => eraOfCall(client, server.echo("again"))), era)
        assert.strictEqual((yield* server.executions).length, 3)
      })
    )

    promise("killed under a call that cannot be started for a while is of that era when it can", () =>
      Effect.gen(function* () {
        const fs = yield* FileSystem.FileSystem
        const broken = `${yield* fs.makeTempDirectoryScoped()}/broken`
        const { backend, call, server, signal, until } = yield* kept(
          calm,
          (command) => `test -e ${broken} && exit 1; exec ${command}`
        )
        const slow = yield* Effect.forkChild(Effect.flip(call(server.slow(30))))
        yield* executing(server, 2)
        yield* fs.writeFileString(broken, "")
        signal("SIGKILL")
        assert.strictEqual((yield* Fiber.join(slow))._tag, "OutcomeUnknown")
        yield* until(is("CircuitOpen"))
        assert.strictEqual((yield* Effect.flip(call(server.echo("rejected"))))._tag, "CallRejected")
        yield* fs.remove(broken)
        yield* until(isRenewed())
        assert.strictEqual(yield* backend.use((client) => eraOfCall(client, server.echo("again"))), era)
        assert.strictEqual((yield* server.executions).length, 3)
      })
    )

    promise("frozen for a moment only keeps its session", () =>
      Effect.gen(function* () {
        const { first, signal, spawns, until } = yield* kept({ ...calm, ...quick, failureThreshold: 20 })
        signal("SIGSTOP", -first)
        yield* until(is("Unhealthy"))
        signal("SIGCONT", -first)
        assert.deepStrictEqual(untimed(yield* until(is("Connected"))), { _tag: "Connected", generation: 1 })
        assert.strictEqual(spawns.length, 1)
      })
    )

    promise("that works on a long call answers probes meanwhile, and the call ends well", () =>
      Effect.gen(function* () {
        const { call, events, server, spawns } = yield* kept({ ...calm, ...quick, timeout: "900 millis" })
        yield* call(server.slow(3))
        assert.isAtLeast(only(events, "ProbeSucceeded").length, 1)
        assert.deepStrictEqual(only(events, "SessionClosed"), [])
        assert.strictEqual(spawns.length, 1)
      })
    )
  })

describe("a child that answers with a question", { timeout: 60_000 }, () => {
  promise("and is killed over the answer: the outcome is unknown, and the call is not run again", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "modern" })
      const client = () => {
        const made = new Client({ name: "app", version: "1.0.0" }, { capabilities: { elicitation: {} } })
        made.setRequestHandler("elicitation/create", async () => ({ action: "accept", content: { name: "Ada" } }))
        return made
      }
      const { call, signal, until } = yield* keep(server, { connector: { ...connector, client } })
      const asked = yield* Effect.forkChild(Effect.flip(call({ name: "ask", arguments: { ms: 30_000 } })))
      yield* executing(server, 2)
      signal("SIGKILL")
      assert.strictEqual((yield* Fiber.join(asked))._tag, "OutcomeUnknown")
      yield* until(isRenewed())
      yield* call(server.echo("after"))
      assert.deepStrictEqual(
        (yield* server.executions).map(({ tool }) => tool),
        ["ask", "ask", "echo"]
      )
    })
  )
})

describe("a silent child", { timeout: 60_000 }, () => {
  const one = together()

  one("fails the attempt within connectTimeout, whichever question it leaves open", () =>
    Effect.gen(function* () {
      const server = yield* StdioServers.scripted({ silent: true })
      const policy = { ...calm, connectTimeout: "1 second" } as const
      const { event } = yield* keep(server, { policy, connector, await: false })
      const failed = yield* event("AttemptFailed")
      assert.strictEqual(failed.reason, "timeout")
    })
  )
})
