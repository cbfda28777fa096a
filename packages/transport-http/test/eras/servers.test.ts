/** Real servers of both eras that come to harm under a call: what happens to the call, to the backend, and to its era. */
import { assert, describe } from "@effect/vitest"
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import { Fault, type FaultProxy, type McpServer, McpServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Fiber } from "effect"
import { is, only, path } from "../backend/support.ts"
import { eventuallyEffect } from "../connector/support.ts"
import { keep } from "../sdk2/support.ts"
import { leavingNothing } from "./leavingNothing.ts"

/** A probe of some bridges starts a process. */
const policy: KeepalivePolicy.Options = {
  interval: "2 seconds",
  timeout: "1500 millis",
  inFlightGrace: "1 second",
  waitForSession: "5 seconds"
}
/** Within which the first probe has failed under that policy, in milliseconds, and what a busy machine may add. */
const bound = 2000 * 1.1 + 1500 + 2000

interface Subject {
  readonly server: McpServer.McpServer
  readonly proxy: FaultProxy.FaultProxy
  /** what is under way, or will be */
  readonly asked: ReadonlyArray<string>
}

/** What is done to a server or to the way to it; one that `lasts` does so until it is healed. */
interface Harm {
  readonly strike: (subject: Subject) => Effect.Effect<unknown, McpServer.ServerStartError>
  readonly heal: (subject: Subject) => Effect.Effect<unknown, McpServer.ServerStartError>
  readonly lasts: boolean
  /** the processes are others afterwards */
  readonly renews: boolean
}

const harms: Readonly<Record<"killed" | "frozen" | "restarted" | "cut off" | "refused", Harm>> = {
  killed: { strike: ({ server }) => server.kill, heal: ({ server }) => server.start, lasts: true, renews: true },
  frozen: { strike: ({ server }) => server.freeze, heal: ({ server }) => server.thaw, lasts: true, renews: false },
  restarted: { strike: ({ server }) => server.restart, heal: () => Effect.void, lasts: false, renews: true },
  "cut off": {
    strike: ({ asked, proxy }) =>
      Effect.flatMap(proxy.inject(Fault.Reset({ on: { rpc: asked }, times: 1 })), ({ struck }) => struck),
    heal: ({ proxy }) => proxy.heal,
    lasts: false,
    renews: false
  },
  refused: {
    strike: ({ proxy }) => proxy.inject(Fault.Refuse()),
    heal: ({ proxy }) => proxy.heal,
    lasts: true,
    renews: false
  }
}

/** A backend on a server that answers, and a call under way on it. */
const underACall = Effect.fnUntraced(function* (server: McpServer.McpServer) {
  const kept = yield* keep(server, { policy })
  let echoes = 0
  /** the era of the session that answers; no call of it is the same as another */
  const era = Effect.suspend(() => {
    const call = server.echo(`echo ${++echoes}`)
    return kept.backend.use(async (client, signal) => {
      await client.callTool(call, { signal })
      return client.getProtocolEra()
    })
  })
  const before = yield* era
  const slow = server.slow(3)
  const called = yield* Effect.forkChild(kept.call(slow))
  const ran = Effect.map(server.executions, (all) => all.filter(({ tool }) => tool === slow.name).length)
  yield* eventuallyEffect(Effect.map(ran, (count) => count === 1))
  return {
    ...kept,
    subject: { server, proxy: kept.proxy, asked: ["tools/call"] },
    before,
    called,
    leavesConnected: Effect.timeout(
      kept.until(({ _tag }) => _tag !== "Connected"),
      bound
    ),
    /** a call is answered as soon as may be, in the era of those before; and none ran more often than once */
    recovers: Effect.gen(function* () {
      yield* eventuallyEffect(Effect.map(Effect.exit(era), Exit.isSuccess))
      assert.strictEqual(yield* era, before)
      yield* kept.until(is("Connected"))
      const all = (yield* server.executions).map((execution) => JSON.stringify(execution))
      assert.strictEqual(new Set(all).size, all.length)
      assert.strictEqual(yield* ran, 1)
    })
  }
})

const servers = {
  "mcp-proxy before a modern child": { start: McpServers.mcpProxy({ backend: "modern" }), era: "modern" },
  "supergateway without sessions before a modern child": {
    start: McpServers.supergateway({ backend: "modern", stateful: false }),
    era: "modern"
  },
  "supergateway without sessions before a legacy child": {
    start: McpServers.supergateway({ backend: "small", stateful: false }),
    era: "legacy"
  },
  "server-everything": { start: McpServers.everything, era: "legacy" },
  "Effect's server, of both eras": { start: McpServers.effectMcpBoth, era: "modern" },
  "SDK 2's handler, of both eras": { start: McpServers.sdk2({ era: "dual" }), era: "modern" },
  "SDK 2's handler, of the modern era alone": { start: McpServers.sdk2({ era: "modern" }), era: "modern" }
} as const

describe("a call under way, and then the next one, where the server is", { timeout: 90_000 }, () => {
  const row = leavingNothing()

  for (const [harm, { heal, lasts, strike }] of Object.entries(harms))
    for (const [name, { era, start }] of Object.entries(servers))
      row(`${harm}: ${name}`, () =>
        Effect.gen(function* () {
          const server: McpServer.McpServer = yield* start
          const { before, called, leavesConnected, recovers, subject } = yield* underACall(server)
          assert.strictEqual(before, era)
          yield* strike(subject)
          if (lasts) yield* leavesConnected
          const outcome = yield* Effect.exit(Fiber.join(called))
          if (Exit.isFailure(outcome)) assert.strictEqual((yield* Effect.flip(outcome))._tag, "OutcomeUnknown")
          else {
            // a stream that can be resumed is, where it had begun, and its call is answered
            assert.deepStrictEqual([harm, server.traits.resumable], ["cut off", true])
            assert.isTrue((yield* subject.proxy.requests).some(({ lastEventId }) => lastEventId !== undefined))
          }
          yield* heal(subject)
          yield* recovers
        })
      )
})

describe("mcp-proxy whose child was killed under a call, and that then is", { timeout: 90_000 }, () => {
  const row = leavingNothing()

  for (const [harm, { heal, renews, strike }] of Object.entries(harms))
    row(`${harm}: it is not taken for alive before its child is`, () =>
      Effect.gen(function* () {
        const server = yield* McpServers.mcpProxy({ backend: "modern" })
        const { called, events, leavesConnected, recovers, subject, until } = yield* underACall(server)
        yield* server.killBackend
        // the bridge says that it failed, and so it did
        assert.strictEqual((yield* Effect.flip(Fiber.join(called)))._tag, "CallFailed")
        yield* leavesConnected
        yield* until(is("CircuitOpen"))
        yield* strike({ ...subject, asked: ["server/discover", "tools/list"] })
        const failed = () => only(events, "AttemptFailed").filter(({ reason }) => reason === "upstream").length
        const before = failed()
        yield* heal(subject)
        if (!renews) {
          yield* eventuallyEffect(Effect.sync(() => failed() > before))
          assert.deepStrictEqual(
            path(events).filter((state) => state === "Connected"),
            ["Connected"]
          )
          yield* server.restart
        }
        yield* recovers
      })
    )
})
