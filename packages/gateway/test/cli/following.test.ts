/** What an edit of the file is for hosts that are there. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { BackendSpec } from "@vmcp-keepalive/config"
import { Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { Deferred, Effect, FileSystem, Logger, Queue, Schedule } from "effect"
import * as Following from "../../src/internal/cli/following.ts"
import { Ledger, serverOf } from "../host/support.ts"
import { gatewayOf, initialized, namesIn } from "../support.ts"

const entries = { one: { url: "http://one/mcp" }, two: { url: "http://two/mcp" } }

/** A gateway that is as a file says, with a host; its servers are in memory, and `one` takes as long to end as it is told. */
const start = Effect.fnUntraced(function* (first: object) {
  const ledger = new Ledger()
  const ending = yield* Deferred.make<void>()
  const servers = { one: serverOf("one", ledger), two: serverOf("two", new Ledger()) }
  const { peerConnector } = servers.one
  const slow: typeof peerConnector = {
    ...peerConnector,
    open: (host) =>
      Effect.andThen(
        Effect.addFinalizer(() => Deferred.await(ending)),
        peerConnector.open(host)
      )
  }
  const transport = Fleet.layerTransport<BackendSpec.HttpSettings, Peer.Peer>("http", {
    is: (settings): settings is BackendSpec.HttpSettings => settings.kind === "http",
    make: ({ url }) => (BackendSpec.reveal(url) === entries.one.url ? slow : servers.two.peerConnector)
  })
  const files = yield* FileSystem.FileSystem
  const config = `${yield* files.makeTempDirectoryScoped()}/mcp.json`
  const write = (mcpServers: object) => files.writeFileString(config, JSON.stringify({ mcpServers }))
  yield* write(first)
  const fleet = yield* Effect.provide(Fleet.make<Peer.Peer>(), transport)
  const gateway = yield* gatewayOf({ fleet })
  const told = yield* Queue.unbounded<string>()
  yield* Following.start({
    config,
    fleet,
    plan: (specs, before) => Effect.provide(Fleet.plan<Peer.Peer>(specs, before), transport),
    show: gateway.show
  }).pipe(Effect.provide(Logger.layer([Logger.make(({ message }) => void Queue.offerUnsafe(told, String(message)))])))
  const host = yield* initialized(gateway)
  // before everything else ends
  yield* Effect.addFinalizer(() => Deferred.succeed(ending, undefined))
  return { fleet, host, ledger, server: servers.one, told: Queue.take(told), write, ending }
})

const tools = (host: Effect.Success<ReturnType<typeof start>>["host"]) =>
  Effect.map(host.ask("tools/list"), (answer) => namesIn(answer, "tools"))

describe("an edit of the file", () => {
  it.live("that the fleet refuses ends no session of a host, and no call", () =>
    Effect.gen(function* () {
      const { host, ledger, server, told, write } = yield* start(entries)
      yield* host.ask("tools/list")
      const calling = yield* Effect.forkChild(host.call("one__hang"), { startImmediately: true })
      yield* server.untilCalled("hang")
      const { made } = yield* server.sessions
      // no transport is there for `gone`; what else is new of the file is right
      yield* write({ one: { ...entries.one, session: "shared" }, two: entries.two, gone: { command: "node" } })
      assert.include(yield* told, "gone.settings.kind: expected ")
      assert.include(yield* told, "what it said before goes on")
      assert.isUndefined(calling.pollUnsafe())
      assert.deepStrictEqual(ledger.aborted, [])
      assert.strictEqual((yield* server.sessions).made, made)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("that takes a server away shows none of its hidden tools while it ends", () =>
    Effect.gen(function* () {
      const hiding = { ...entries, one: { ...entries.one, excludeTools: ["hang"] } }
      const { ending, fleet, host, told, write } = yield* start(hiding)
      yield* Effect.flatMap(fleet.get("one"), Effect.fromOption).pipe(Effect.flatMap((one) => one.awaitConnected))
      assert.include(yield* tools(host), "one__echo")
      assert.notInclude(yield* tools(host), "one__hang")
      yield* write({ two: entries.two })
      yield* Effect.repeat(fleet.ids, { schedule: Schedule.spaced("10 millis"), until: (ids) => !ids.includes("one") })
      assert.notInclude(yield* tools(host), "one__hang")
      yield* Deferred.succeed(ending, undefined)
      assert.match(yield* told, /: removed one$/)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("that is wrong is told with a line for each mistake", () =>
    Effect.gen(function* () {
      const { told, write } = yield* start(entries)
      yield* write({ one: { url: 7 }, two: { url: "two" } })
      assert.match(yield* told, /mcp\.json:1:\d+ mcpServers\.one\.url: expected a URL$/)
      assert.match(yield* told, /mcp\.json:1:\d+ mcpServers\.two\.url: expected an absolute http: [^\n]*$/)
      assert.match(yield* told, /mcp\.json cannot be used: what it said before goes on$/)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.live("that hides a tool is told as a change of its server", () =>
    Effect.gen(function* () {
      const { host, told, write } = yield* start(entries)
      assert.include(yield* tools(host), "two__hang")
      yield* write({ ...entries, two: { ...entries.two, excludeTools: ["hang"] } })
      assert.match(yield* told, /: changed two$/)
      assert.notInclude(yield* tools(host), "two__hang")
    }).pipe(Effect.provide(NodeServices.layer))
  )
})
