/** Lanes of hosts: sessions of their own and shared ones, and how they follow the fleet. */
import { assert, describe, it } from "@effect/vitest"
import { KeepaliveEvent } from "@vmcp-keepalive/core"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import { Deferred, Effect, Exit, Fiber, Scope } from "effect"
import type { Gateway } from "../../src/index.ts"
import { Ledger, serverOf } from "../host/support.ts"
import { fleetOf, gatewayOf, hello, initialized, namesIn, policy, resultOf, textOf } from "../support.ts"

const shared = new Map<string, Gateway.View>([["one", { session: "shared" }]])

const start = Effect.gen(function* () {
  const fleet = yield* fleetOf
  const ledger = new Ledger()
  const server = serverOf("one", ledger)
  yield* fleet.add({ id: "one", connector: server.peerConnector, policy })
  yield* fleet.add({ id: "two", connector: serverOf("two", new Ledger()).peerConnector, policy })
  const gateway = yield* gatewayOf({ fleet })
  return { fleet, gateway, ledger, server }
})

const told = (host: { readonly received: ReadonlyArray<Message.Message> }, method: string) =>
  host.received.flatMap((message) => ("method" in message && message.method === method ? [message.params] : []))

describe("a session that hosts share", () => {
  it.live("is one for all of them, whose server is told of no capabilities and asks nobody", () =>
    Effect.gen(function* () {
      const { gateway, ledger, server } = yield* start
      yield* gateway.show(shared)
      const [a, b] = [yield* initialized(gateway), yield* initialized(gateway)]
      assert.strictEqual(textOf(yield* a.call("one__echo", { text: "1" })), "one: 1")
      assert.strictEqual(textOf(yield* b.call("one__echo", { text: "2" })), "one: 2")
      assert.strictEqual((yield* server.sessions).made, 1)
      assert.deepStrictEqual(
        ledger.clients.map((each) => Array.isArray(each) && each[1]),
        [{}]
      )
      assert.include(JSON.stringify(yield* a.call("one__sample")), "-32601")
    })
  )

  it.live("tells each host of its own requests, though their progress tokens are the same", () =>
    Effect.gen(function* () {
      const { gateway } = yield* start
      yield* gateway.show(shared)
      const hosts = [yield* initialized(gateway), yield* initialized(gateway)]
      yield* Effect.forEach(
        hosts,
        (host, at) =>
          host.ask("tools/call", { name: "one__steps", arguments: { text: `${at}` }, _meta: { progressToken: 1 } }),
        { concurrency: "unbounded" }
      )
      for (const [at, host] of hosts.entries()) {
        assert.deepStrictEqual(told(host, "notifications/progress"), [
          { progressToken: 1, progress: 1, message: `${at}` },
          { progressToken: 1, progress: 2, message: `${at}` }
        ])
      }
    })
  )

  it.live("gets back what a host has subscribed to when it leaves, and tells hosts of a new session", () =>
    Effect.gen(function* () {
      const { gateway, ledger, server } = yield* start
      yield* gateway.show(shared)
      const scope = yield* Scope.make()
      const leaving = yield* Scope.provide(initialized(gateway), scope)
      const host = yield* initialized(gateway)
      // which of the two it is cannot be told from the URI: it is listed by nobody
      yield* host.call("one__link")
      yield* leaving.call("one__link")
      for (const { ask } of [leaving, host]) yield* ask("resources/subscribe", { uri: "linked://one" })
      yield* Scope.close(scope, Exit.void)
      yield* host.ask("logging/setLevel", { level: "error" })
      yield* server.kill()
      yield* host.untilMethod("notifications/resources/updated")
      yield* host.untilMethod("notifications/tools/list_changed")
      yield* host.ask("resources/unsubscribe", { uri: "linked://one" })
      assert.deepStrictEqual(
        [ledger.subscribed, ledger.unsubscribed],
        [["linked://one", "linked://one"], ["linked://one"]]
      )
      assert.deepStrictEqual(ledger.levels, ["error", "error"])
    })
  )
})

describe("a lane", () => {
  it.live("is another one when its backend is to be shared: what was under way is told to be so", () =>
    Effect.gen(function* () {
      const { gateway, ledger, server } = yield* start
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      const calling = yield* Effect.forkChild(host.call("one__hang"), { startImmediately: true })
      yield* server.untilCalled("hang")
      yield* gateway.show(shared)
      const ended = resultOf(yield* Fiber.join(calling))
      assert.deepInclude(Object(ended["_meta"])["vmcp-keepalive"], { error: "OutcomeUnknown", executed: "unknown" })
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "1" })), "one: 1")
      assert.deepStrictEqual(ledger.aborted, ["hang"])
    })
  )

  it.live("goes where its backend goes: another connector is another session, and the host stays", () =>
    Effect.gen(function* () {
      const { fleet, gateway } = yield* start
      const host = yield* initialized(gateway)
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "1" })), "one: 1")
      const ledger = new Ledger()
      const member = yield* Effect.flatMap(fleet.get("one"), Effect.fromOption)
      yield* member.reconfigure({ connector: serverOf("other", ledger).peerConnector })
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.strictEqual(textOf(yield* host.call("one__echo", { text: "2" })), "other: 2")
      assert.deepInclude(ledger.clients, [hello["clientInfo"], hello["capabilities"]])
    })
  )

  it.live("ends with its backend, and a call under way says so", () =>
    Effect.gen(function* () {
      const { fleet, gateway, server } = yield* start
      const host = yield* initialized(gateway)
      yield* host.ask("tools/list")
      const calling = yield* Effect.forkChild(host.call("one__hang"), { startImmediately: true })
      yield* server.untilCalled("hang")
      yield* fleet.remove("one")
      const ended = resultOf(yield* Fiber.join(calling))
      assert.deepInclude(Object(ended["_meta"])["vmcp-keepalive"], { executed: "unknown" })
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.notInclude(namesIn(yield* host.ask("tools/list"), "tools"), "one__echo")
      // of two there is one left, whose names are its own: what it does not know is its matter
      assert.strictEqual(textOf(yield* host.call("echo", { text: "1" })), "two: 1")
      assert.strictEqual((yield* server.sessions).open, 0)
    })
  )

  it.live("that takes long to end keeps no host waiting: neither those that have one nor those that come", () =>
    Effect.gen(function* () {
      const fleet = yield* fleetOf
      const ending = yield* Deferred.make<void>()
      const { peerConnector } = serverOf("one", new Ledger())
      const open: typeof peerConnector.open = (host) =>
        Effect.andThen(
          Effect.addFinalizer(() => Deferred.await(ending)),
          peerConnector.open(host)
        )
      yield* fleet.add({ id: "one", connector: { ...peerConnector, open }, policy })
      const gateway = yield* gatewayOf({ fleet })
      const hosts = Effect.gen(function* () {
        const host = yield* initialized(gateway)
        assert.strictEqual(textOf(yield* host.call("echo", { text: "1" })), "one: 1")
        yield* Effect.forkScoped(gateway.show(shared), { startImmediately: true })
        yield* host.untilMethod("notifications/tools/list_changed")
        const other = yield* initialized(gateway)
        assert.strictEqual(textOf(yield* other.call("echo", { text: "2" })), "one: 2")
      })
      yield* hosts.pipe(Effect.timeout("3 seconds"), Effect.ensuring(Deferred.succeed(ending, undefined)))
    })
  )

  it.live("ends with its host, and its session with it", () =>
    Effect.gen(function* () {
      const { gateway, server } = yield* start
      const scope = yield* Scope.make()
      const host = yield* Scope.provide(initialized(gateway), scope)
      yield* host.call("one__echo")
      // the fleet's, and the host's own
      assert.strictEqual((yield* server.sessions).open, 2)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* server.sessions).open, 1)
    })
  )

  it.live(
    "tells observers of calls, and neither of states nor of attempts, which are those of the fleet's backend",
    () =>
      Effect.gen(function* () {
        const events: Array<KeepaliveEvent.KeepaliveEvent> = []
        const count = (tag: KeepaliveEvent.KeepaliveEvent["_tag"]) =>
          events.filter(({ _tag, backend }) => backend === "one" && _tag === tag).length
        const run = Effect.gen(function* () {
          const { fleet, gateway } = yield* start
          const member = yield* Effect.flatMap(fleet.get("one"), Effect.fromOption)
          yield* member.awaitConnected
          const scope = yield* Scope.make()
          const host = yield* Scope.provide(initialized(gateway), scope)
          yield* host.ask("tools/list")
          const before = count("CallSettled")
          yield* host.call("one__echo")
          assert.isAbove(count("CallSettled"), before)
          yield* Scope.close(scope, Exit.void)
          assert.strictEqual(count("CallStarted"), count("CallSettled"))
          return member
        })
        yield* Effect.scoped(run).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => void events.push(event))))
        assert.deepStrictEqual([count("Started"), count("AttemptSucceeded"), count("SessionClosed")], [1, 1, 1])
        const states = events.flatMap((event) =>
          event._tag === "StateChanged" && event.backend === "one" ? [event.to._tag] : []
        )
        assert.deepStrictEqual(states, ["Connected", "Closed"])
      })
  )
})
