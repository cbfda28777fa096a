/** Of which era a server is that runs as a child process, and with how many children that is found out. */
import { assert, describe } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Clock, Effect, FileSystem } from "effect"
import { StdioConnector } from "../../src/sdk2/index.ts"
import { connectorOf, eraOf, eraOfCall, hostWithMemory, keep } from "./support.ts"
import { is, isRenewed, only, promise, quickShutdown, together } from "../backend/support.ts"
import { failing, makeHost } from "../connector/support.ts"

const { everything, scripted, sdk2, throughShell } = StdioServers

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos) / 1e6)

describe("a server is of the era that it says, with one child:", { timeout: 60_000 }, () => {
  const one = together()

  const kinds = [
    ["of the modern era", sdk2({ era: "modern" }), "modern"],
    ["of both", sdk2({ era: "dual" }), "modern"],
    ["of the legacy era, on SDK 2.x", sdk2({ era: "legacy" }), "legacy"],
    ["server-everything, on SDK 1.x", everything, "legacy"],
    ["one that does not know the question (-32601)", scripted(), "legacy"]
  ] as const
  for (const [name, make, era] of kinds)
    one(name, () =>
      Effect.gen(function* () {
        const server: StdioServers.StdioServer = yield* make
        assert.strictEqual(yield* eraOf(connectorOf(server, { shutdown: quickShutdown }), server), era)
        assert.strictEqual(yield* server.starts, 1)
      })
    )

  one("of both, where the user says which", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "dual" })
      const legacy = connectorOf(server, { versionNegotiation: { mode: "legacy" } })
      assert.strictEqual(yield* eraOf(legacy, server), "legacy")
      const modern = connectorOf(server, { versionNegotiation: { mode: { pin: "2026-07-28" } } })
      assert.strictEqual(yield* eraOf(modern, server), "modern")
    })
  )
})

describe("a child that does not answer the question for its era", { timeout: 90_000 }, () => {
  const one = together()

  one("is sent initialize after 10 s, and is remembered to be of the legacy era", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ silentOn: "server/discover" })
      const host = hostWithMemory()
      const connector = connectorOf(server)
      const began = performance.now()
      assert.strictEqual(yield* eraOf(connector, server, host), "legacy")
      assert.isAtLeast(performance.now() - began, 10_000)
      const again = performance.now()
      assert.strictEqual(yield* eraOf(connector, server, host), "legacy")
      assert.isBelow(performance.now() - again, 10_000)
      // one for each session
      assert.strictEqual(yield* server.starts, 2)
    })
  )

  one("is sent it earlier where the user says so", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ silentOn: "server/discover" })
      const versionNegotiation = { mode: "auto", probe: { timeoutMs: 100 } } as const
      const began = performance.now()
      assert.strictEqual(yield* eraOf(connectorOf(server, { versionNegotiation }), server), "legacy")
      assert.isBelow(performance.now() - began, 10_000)
      assert.strictEqual(yield* server.starts, 1)
    })
  )

  for (const era of ["modern", "dual"] as const)
    one(`because it starts slowly is not taken for one of the legacy era: ${era}`, () =>
      Effect.gen(function* () {
        const server = yield* sdk2({ era, startDelay: 11_000 })
        const host = hostWithMemory()
        assert.strictEqual(yield* eraOf(connectorOf(server), server, host), "modern")
        assert.isUndefined(host.era.legacyUntil)
        assert.strictEqual(yield* server.starts, 2)
      })
    )

  one("by a deadline of the user's is spoken to as the user says, and is not remembered where it answers late", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "dual", startDelay: 1000 })
      const host = hostWithMemory()
      const versionNegotiation = { mode: "auto", probe: { timeoutMs: 50 } } as const
      assert.strictEqual(yield* eraOf(connectorOf(server, { versionNegotiation }), server, host), "legacy")
      assert.isUndefined(host.era.legacyUntil)
    })
  )
})

describe("a child that exits when it is asked for its era", { timeout: 60_000 }, () => {
  promise("is followed by one that is not asked, once: the next session needs one child", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ dieOn: "server/discover" })
      const host = hostWithMemory()
      const connector = connectorOf(server)
      assert.strictEqual(yield* eraOf(connector, server, host), "legacy")
      assert.strictEqual(yield* server.starts, 2)
      assert.approximately((host.era.legacyUntil ?? 0) - (yield* now), 86_400_000, 60_000)
      assert.strictEqual(yield* eraOf(connector, server, host), "legacy")
      assert.strictEqual(yield* server.starts, 3)
      host.era.legacyUntil = (yield* now) - 1
      assert.strictEqual(yield* eraOf(connector, server, host), "legacy")
      assert.strictEqual(yield* server.starts, 5)
    })
  )

  promise("has ended before the next one starts, and a backend asks it no more while attempts succeed", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ dieOn: "server/discover" })
      const kept = yield* keep(server)
      assert.deepStrictEqual(
        kept.spawns.map(({ others }) => others),
        [[], []]
      )
      kept.signal("SIGKILL")
      yield* kept.until(isRenewed())
      assert.strictEqual(kept.spawns.length, 3)
      assert.deepStrictEqual(only(kept.events, "AttemptFailed"), [])
    })
  )

  promise("by a signal says nothing of its era: the attempt has failed, with one child", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "dual", startDelay: 60_000 })
      const host = hostWithMemory()
      for (const make of [server, throughShell(server)]) {
        const connector = connectorOf(make, { shutdown: quickShutdown })
        const kill = (group: number) => ProcessGroups.signal(-group, "SIGKILL")
        const { detail, reason } = yield* failing(connector, kill, host)
        assert.deepStrictEqual([reason, detail?.summary], ["process_exit", "signal SIGKILL during the handshake"])
      }
      assert.isUndefined(host.era.legacyUntil)
    })
  )

  /** A shell that is asked something and does that then, and how often it was started. */
  const shell = Effect.fnUntraced(function* (line: string) {
    const fs = yield* FileSystem.FileSystem
    const file = `${yield* fs.makeTempDirectoryScoped()}/starts`
    const connector = StdioConnector.make({
      command: "sh",
      args: ["-c", `echo started >> ${file}; read -r _; ${line}`],
      shutdown: quickShutdown
    })
    return { connector, starts: Effect.map(fs.readFileString(file), (text) => text.split("\n").length - 1) }
  })

  const nothing = [
    ["behind a shell that tells its signal by a code", "sh -c 'kill -9 $$'; exit $?", "process_exit", "exit code 137"],
    ["but only closes its pipes", "exec 1>&- 0<&-; sleep 30", "reset", "closed its pipes"]
  ] as const
  for (const [name, line, expected, summary] of nothing)
    promise(`${name} says nothing of its era: the attempt has failed, with one child`, () =>
      Effect.gen(function* () {
        const { connector, starts } = yield* shell(line)
        const host = hostWithMemory()
        const { detail, reason } = yield* failing(connector, () => {}, host)
        assert.deepStrictEqual([reason, detail?.summary], [expected, `${summary} during the handshake`])
        assert.isUndefined(host.era.legacyUntil)
        assert.strictEqual(yield* starts, 1)
      })
    )

  promise("and that cannot start at all fails the attempt after two children, and nothing is remembered", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ exit: 1 })
      const host = hostWithMemory()
      const { detail, reason } = yield* failing(connectorOf(server), () => {}, host)
      assert.deepStrictEqual([reason, detail?.summary], ["process_exit", "exit code 1 during the handshake"])
      assert.isUndefined(host.era.legacyUntil)
      assert.strictEqual(yield* server.starts, 2)
    })
  )

  promise("leaves nothing behind when the opening is interrupted in its midst", () =>
    Effect.gen(function* () {
      const server = yield* scripted({ dieOn: "server/discover", startDelay: 300 })
      const connector = connectorOf(server, { shutdown: quickShutdown })
      for (const moment of ["100 millis", "400 millis", "500 millis"] as const)
        yield* Effect.scoped(connector.open(makeHost())).pipe(Effect.timeoutOption(moment))
      assert.isAtLeast(yield* server.starts, 1)
    })
  )
})

describe("a program that is of another era when it is started again", { timeout: 60_000 }, () => {
  promise("is found: modern, legacy, modern, both, legacy", () =>
    Effect.gen(function* () {
      const server = yield* sdk2({ era: "modern" })
      const kept = yield* keep(server)
      const era = kept.backend.use((client) => eraOfCall(client, server.echo("era")))
      assert.strictEqual(yield* era, "modern")
      const steps = [
        ["legacy", "legacy"],
        ["modern", "modern"],
        ["dual", "modern"],
        ["legacy", "legacy"]
      ] as const
      for (const [next, expected] of steps) {
        yield* server.become({ era: next })
        const at = kept.signal("SIGKILL")
        yield* kept.event("SessionClosed", at)
        yield* kept.until(is("Connected"))
        assert.strictEqual(yield* era, expected)
      }
      // that it was of the legacy era was remembered, until the one attempt that this cost
      assert.strictEqual(only(kept.events, "AttemptFailed").length, 1)
      assert.deepStrictEqual(
        kept.spawns.flatMap(({ others }) => others),
        []
      )
    })
  )
})
