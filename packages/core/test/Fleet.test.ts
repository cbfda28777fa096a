/** Many backends of one host: what a change of the list touches, what it tells, and what it leaves alone. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Equal, Fiber, Layer, Option, Redacted, Scope, Exit, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Backend, type Connector, Fleet, KeepaliveEvent, KeepalivePolicy } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

type Client = ScriptedServer.ScriptedClient

/** The servers of a world, by their address. */
class World extends Context.Service<World, Map<string, ScriptedServer.ScriptedServer>>()("test/World") {}

interface Scripted {
  readonly kind: "scripted"
  readonly address: string
  readonly token?: Redacted.Redacted<string>
}

const isScripted = (settings: Fleet.Spec["settings"]): settings is Scripted => "address" in settings

const serverAt = (world: Map<string, ScriptedServer.ScriptedServer>, address: string) => {
  const server = world.get(address) ?? ScriptedServer.make()
  world.set(address, server)
  return server
}

/** Connectors that find their server in the world as they open. */
const transport = Fleet.layerTransport("scripted", {
  is: isScripted,
  make: ({ address }: Scripted): Connector.Connector<Client, World> => ({
    ...ScriptedServer.make().connector,
    issues: Effect.succeed(address === "" ? [{ path: ["address"], expected: "an address" }] : []),
    open: (host) => Effect.flatMap(World, (world) => serverAt(world, address).connector.open(host))
  })
})

const world = () => {
  const servers = new Map<string, ScriptedServer.ScriptedServer>()
  return { servers, layer: Layer.provide(transport, Layer.succeed(World, servers)) }
}

const at = (address: string): Scripted => ({ kind: "scripted", address })

const spec = (id: string, over: Partial<Fleet.Spec> & { readonly token?: string } = {}): Fleet.Spec => {
  const { token, ...rest } = over
  const settings: Scripted = {
    ...at(`${id}.example`),
    ...(token === undefined ? {} : { token: Redacted.make(token) })
  }
  return { id, settings, ...rest }
}

const withFleet = <A, E>(
  body: (
    fleet: Fleet.Fleet<Client>,
    servers: Map<string, ScriptedServer.ScriptedServer>
  ) => Effect.Effect<A, E, Scope.Scope>
) => {
  const { layer, servers } = world()
  return Effect.scoped(
    Effect.flatMap(Fleet.make<Client>(), (fleet) => body(fleet, servers)).pipe(Effect.provide(layer))
  )
}

const collecting = <A>(stream: Stream.Stream<A>) =>
  Effect.gen(function* () {
    const items: Array<A> = []
    yield* Effect.forkScoped(
      Stream.runForEach(stream, (item) => Effect.sync(() => items.push(item))),
      { startImmediately: true }
    )
    return items
  })

const told = (changes: ReadonlyArray<Fleet.Change>) =>
  changes.map(
    (change) => `${change._tag} ${change.id}${change._tag === "Replaced" ? `: ${change.what.join(", ")}` : ""}`
  )

const settled = TestClock.adjust("1 second")

const stateOf = (fleet: Fleet.Fleet<Client>, id: string) =>
  Effect.map(fleet.states, (states) => {
    const state = states.get(id)
    return state && "generation" in state ? `${state._tag} ${state.generation}` : state?._tag
  })

describe("apply", () => {
  it.effect("adds, replaces and removes what changed, tells each once, and leaves the others alone", () =>
    withFleet((fleet, servers) =>
      Effect.gen(function* () {
        assert.deepStrictEqual(told(yield* fleet.apply([spec("a"), spec("b"), spec("c"), spec("d")])), [
          "Added a",
          "Added b",
          "Added c",
          "Added d"
        ])
        yield* settled
        const changes = yield* collecting(fleet.changes)
        // when each is probed is drawn, within these seconds as well
        const events = yield* collecting(Stream.filter(fleet.events, ({ _tag }) => !_tag.startsWith("Probe")))
        const applied = yield* fleet.apply([
          spec("a"),
          spec("b", { policy: { interval: "20 seconds" } }),
          spec("c", { settings: at("other.example") }),
          spec("e")
        ])
        yield* settled
        const expected = ["Removed d", "Replaced b: policy", "Replaced c: connection", "Added e"]
        assert.deepStrictEqual(told(applied), expected)
        assert.sameMembers(told(changes), expected)
        assert.deepStrictEqual(yield* fleet.ids, ["a", "b", "c", "e"])
        assert.strictEqual(yield* stateOf(fleet, "a"), "Connected 1")
        assert.strictEqual(yield* stateOf(fleet, "b"), "Connected 1")
        assert.strictEqual(yield* stateOf(fleet, "c"), "Connected 2")
        assert.deepStrictEqual(
          ["a", "b", "c", "d", "e", "other"].map((id) => servers.get(`${id}.example`)?.counts.open),
          [1, 1, 0, 0, 1, 1]
        )
        assert.notInclude(
          events.map(({ backend }) => backend),
          "a"
        )
        const about = (id: string) => events.flatMap((event) => (event.backend === id ? [event._tag] : []))
        assert.deepStrictEqual(about("b"), ["Reconfigured"])
        assert.deepStrictEqual(about("d"), ["StateChanged", "SessionClosed"])
        assert.include(about("e"), "Started")
      })
    )
  )

  it.effect("changes nothing where nothing changed, and sees a rotated secret, which in JSON looks as before", () =>
    withFleet((fleet) =>
      Effect.gen(function* () {
        yield* fleet.apply([spec("a", { token: "one" }), spec("b", { token: "one" })])
        yield* settled
        assert.deepStrictEqual(yield* fleet.apply([spec("a", { token: "one" }), spec("b", { token: "one" })]), [])
        assert.isTrue(Equal.equals(spec("a", { token: "one" }), spec("a", { token: "one" })))
        assert.strictEqual(JSON.stringify(spec("a", { token: "one" })), JSON.stringify(spec("a", { token: "two" })))
        assert.deepStrictEqual(told(yield* fleet.apply([spec("a", { token: "one" }), spec("b", { token: "two" })])), [
          "Replaced b: connection"
        ])
        yield* settled
        assert.strictEqual(yield* stateOf(fleet, "a"), "Connected 1")
        assert.strictEqual(yield* stateOf(fleet, "b"), "Connected 2")
      })
    )
  )

  it.effect("takes one that is not enabled as one that is not there", () =>
    withFleet((fleet) =>
      Effect.gen(function* () {
        yield* fleet.apply([spec("a"), spec("b", { enabled: false })])
        assert.deepStrictEqual(yield* fleet.ids, ["a"])
        assert.deepStrictEqual(
          told(yield* fleet.apply([spec("a", { enabled: false }), spec("b", { enabled: true })])),
          ["Removed a", "Added b"]
        )
      })
    )
  )

  it.effect("is all or nothing: everything that is wrong in any of them is told, and the fleet stays as it is", () =>
    withFleet((fleet) =>
      Effect.gen(function* () {
        const add: Backend.Options<Client> = { id: "own", connector: ScriptedServer.make().connector }
        yield* fleet.add(add)
        yield* fleet.apply([spec("a"), spec("b")])
        yield* settled
        const changes = yield* collecting(fleet.changes)
        const error = yield* Effect.flip(
          fleet.apply([
            spec("a", { policy: { interval: 0, failureThreshold: 0 } }),
            spec("c", { settings: at(""), policy: { timeout: 0 } }),
            spec("d", { settings: { kind: "websocket" } }),
            spec("e", { settings: { kind: "scripted" } }),
            spec("f"),
            spec("f"),
            spec("own")
          ])
        )
        assert.deepStrictEqual(
          error.errors
            .flatMap(({ backend, issues }) => issues.map(({ path }) => `${backend}: ${path.join(".")}`))
            .toSorted(),
          [
            "a: policy.failureThreshold",
            "a: policy.interval",
            "c: address",
            "c: policy.timeout",
            "d: settings.kind",
            "e: settings",
            "f: id",
            "own: id"
          ]
        )
        assert.include(error.message, "@vmcp-keepalive/transport-http")
        assert.deepStrictEqual(changes, [])
        assert.deepStrictEqual(yield* fleet.ids, ["own", "a", "b"])
        assert.strictEqual(yield* stateOf(fleet, "a"), "Connected 1")
        assert.deepStrictEqual(told(yield* fleet.apply([spec("a")])), ["Removed b"])
        assert.deepStrictEqual(yield* fleet.ids, ["own", "a"])
      })
    )
  )

  it.effect("does not wait for servers, and is done to its end where its caller is interrupted", () =>
    withFleet((fleet, servers) =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        server.script.connect = ScriptedServer.silence
        servers.set("a.example", server)
        const applying = yield* Effect.forkScoped(fleet.apply([spec("a"), spec("b")]), { startImmediately: true })
        yield* Fiber.interrupt(applying)
        assert.deepStrictEqual(yield* fleet.ids, ["a", "b"])
        yield* settled
        assert.strictEqual(yield* stateOf(fleet, "a"), "Connecting")
        assert.strictEqual(yield* stateOf(fleet, "b"), "Connected 1")
      })
    )
  )

  it.effect("of many at once is one after the other, and the last holds", () =>
    withFleet((fleet) =>
      Effect.gen(function* () {
        const lists = Array.from({ length: 50 }, (_, index) =>
          Array.from({ length: 1 + (index % 7) }, (_, id) => spec(`${id}`, { policy: { failureThreshold: 1 + index } }))
        )
        yield* Effect.forEach(lists, fleet.apply, { concurrency: "unbounded", discard: true })
        yield* settled
        assert.deepStrictEqual(yield* fleet.ids, ["0"])
        const backend = Option.getOrThrow(yield* fleet.get("0"))
        assert.strictEqual((yield* backend.policy).failureThreshold, 50)
        assert.strictEqual(yield* stateOf(fleet, "0"), "Connected 1")
      })
    )
  )
})

describe("members", () => {
  it.effect("have the policy and the observers of where the fleet was made, wherever they are added", () => {
    const seen: Array<KeepaliveEvent.KeepaliveEvent> = []
    return withFleet((fleet) =>
      Effect.gen(function* () {
        const { connector } = ScriptedServer.make()
        const backend = yield* Effect.provide(
          fleet.add({ id: "a", connector, policy: { fallbackAfter: 9 } }),
          KeepalivePolicy.layer({ failureThreshold: 1 })
        )
        const { failureThreshold, fallbackAfter } = yield* backend.policy
        assert.deepStrictEqual([failureThreshold, fallbackAfter], [7, 9])
        assert.deepStrictEqual(seen[0]?._tag, "Started")
      })
    ).pipe(
      Effect.provide([
        KeepalivePolicy.layer({ failureThreshold: 7 }),
        KeepaliveEvent.layerObserver((event) => void seen.push(event))
      ])
    )
  })

  it.effect("have ids of their own, are found by them, and end with their removal or with the fleet", () =>
    Effect.gen(function* () {
      const { layer, servers } = world()
      const scope = Scope.makeUnsafe()
      const fleet = yield* Fleet.make<Client>().pipe(Scope.provide(scope), Effect.provide(layer))
      const reading = yield* Effect.forkScoped(Stream.runCollect(fleet.events), { startImmediately: true })
      yield* fleet.apply([spec("a"), spec("b")])
      yield* settled
      const { connector } = ScriptedServer.make()
      assert.strictEqual((yield* Effect.flip(fleet.add({ id: "a", connector }))).issues[0]?.path.join(), "id")
      assert.isTrue(Option.isNone(yield* fleet.get("z")))
      const a = Option.getOrThrow(yield* fleet.get("a"))
      assert.deepStrictEqual([yield* fleet.remove("a"), yield* fleet.remove("a")], [true, false])
      assert.strictEqual((yield* a.state)._tag, "Closed")
      const b = Option.getOrThrow(yield* fleet.get("b"))
      const end = yield* Effect.forkScoped(Stream.runDrain(fleet.changes), { startImmediately: true })
      yield* Scope.close(scope, Exit.void)
      yield* Fiber.join(end)
      assert.strictEqual((yield* b.state)._tag, "Closed")
      assert.deepStrictEqual(
        [...servers.values()].map(({ counts }) => counts.open),
        [0, 0]
      )
      const late = yield* Effect.flip(fleet.add({ id: "c", connector }))
      assert.deepStrictEqual(late.issues[0]?.path, ["fleet"])
      assert.strictEqual((yield* Effect.flip(fleet.apply([spec("d")])))._tag, "FleetConfigurationError")
      const events = yield* Fiber.join(reading)
      assert.strictEqual(events.filter(({ _tag }) => _tag === "SessionClosed").length, 2)
    })
  )

  it.effect("that nobody reads events of make none", () =>
    withFleet((fleet) =>
      Effect.gen(function* () {
        yield* fleet.apply([spec("a")])
        yield* settled
        const reading = yield* Effect.forkScoped(Stream.runHead(fleet.events), { startImmediately: true })
        const backend = Option.getOrThrow(yield* fleet.get("a"))
        yield* backend.probe
        assert.strictEqual(Option.getOrThrow(yield* Fiber.join(reading))._tag, "ProbeSent")
      })
    )
  )
})

describe("ready", () => {
  it.effect("waits for the backends that are required, and for no others", () =>
    withFleet((fleet, servers) =>
      Effect.gen(function* () {
        const [slow, dark] = [ScriptedServer.make(), ScriptedServer.make()]
        slow.script.latency = "5 seconds"
        dark.script.connect = ScriptedServer.silence
        servers.set("slow.example", slow)
        servers.set("dark.example", dark)
        yield* fleet.apply([spec("a"), spec("slow", { policy: { required: true } }), spec("dark")])
        const ready = yield* Effect.forkScoped(fleet.ready, { startImmediately: true })
        yield* TestClock.adjust("4 seconds")
        assert.isUndefined(ready.pollUnsafe())
        yield* TestClock.adjust("10 seconds")
        yield* Fiber.join(ready)
        assert.strictEqual(yield* stateOf(fleet, "dark"), "Connecting")
      })
    )
  )

  it.effect(
    "says which are not connected when their startDeadline has passed, why, and when they are attempted next",
    () =>
      withFleet((fleet, servers) =>
        Effect.gen(function* () {
          const down = ScriptedServer.make()
          down.script.connect = ScriptedServer.unreachable("dns")
          servers.set("down.example", down)
          const required = { required: true, startDeadline: "20 seconds", circuit: "none" } as const
          yield* fleet.apply([spec("a", { policy: required }), spec("down", { policy: required })])
          yield* TestClock.adjust("5 seconds")
          const ready = yield* Effect.forkScoped(Effect.flip(fleet.ready), { startImmediately: true })
          yield* TestClock.adjust("14 seconds")
          assert.isUndefined(ready.pollUnsafe())
          yield* TestClock.adjust("2 seconds")
          const error = yield* Fiber.join(ready)
          assert.deepStrictEqual(
            error.backends.map(({ backend, state }) => [backend, state._tag, "reason" in state && state.reason]),
            [["down", "Disconnected", "dns"]]
          )
          assert.include(error.message, '"down" (Disconnected, dns)')
          // asked again: the verdict is at once
          assert.strictEqual((yield* Effect.flip(fleet.ready)).backends.length, 1)
          down.script.connect = ScriptedServer.answer
          yield* TestClock.adjust("1 minute")
          yield* fleet.ready
        })
      )
  )

  it.effect("does not wait for one that was removed meanwhile", () =>
    withFleet((fleet, servers) =>
      Effect.gen(function* () {
        const dark = ScriptedServer.make()
        dark.script.connect = ScriptedServer.silence
        servers.set("dark.example", dark)
        yield* fleet.apply([spec("dark", { policy: { required: true } })])
        const ready = yield* Effect.forkScoped(fleet.ready, { startImmediately: true })
        yield* fleet.apply([])
        yield* Fiber.join(ready)
      })
    )
  )
})

describe("a plan", () => {
  it.effect("says what apply would do, with what backends are made of, and starts nothing", () => {
    const { layer, servers } = world()
    return Effect.gen(function* () {
      const made = Backend.made()
      const before = [spec("same"), spec("moved"), spec("gone"), spec("off", { enabled: false })]
      const after = [
        spec("new"),
        spec("same"),
        spec("moved", { settings: at("elsewhere"), policy: { interval: "1 minute" } })
      ]
      const plan = yield* Fleet.plan<Client>(after, before)
      assert.deepStrictEqual(plan.removed, ["gone"])
      assert.deepStrictEqual(
        plan.made.map(({ id, policy, what }) => [id, what, policy]),
        [
          ["new", undefined, {}],
          ["moved", ["connection", "policy"], { interval: "1 minute" }]
        ]
      )
      assert.deepStrictEqual([Backend.made(), servers.size], [made, 0])

      const [{ connector, id, policy } = assert.fail()] = plan.made
      const backend = yield* Backend.make({ id, connector, policy })
      assert.strictEqual(yield* backend.use((client) => client.callTool("echo")), "echo")
      assert.deepStrictEqual([...servers.keys()], ["new.example"])
    }).pipe(Effect.scoped, Effect.provide(layer))
  })

  it.effect("fails with everything that is wrong in the specs, as apply does", () =>
    withFleet((fleet) =>
      Effect.gen(function* () {
        const wrong = [
          spec("a", { settings: at("") }),
          spec("b", { settings: { kind: "carrier pigeon" } }),
          spec("c", { policy: { interval: "1 millis" } }),
          spec("d"),
          spec("d")
        ]
        const planned = yield* Effect.flip(Fleet.plan<Client>(wrong)).pipe(Effect.provide(world().layer))
        const applied = yield* Effect.flip(fleet.apply(wrong))
        assert.deepStrictEqual(planned.errors, applied.errors)
        assert.deepStrictEqual(
          planned.errors.map(({ backend }) => backend),
          ["b", "d", "a", "c"]
        )
      })
    )
  )
})
