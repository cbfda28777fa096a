/** What a backend knows of what its server lists. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as fc from "fast-check"
import { Backend, KeepaliveEvent, type KeepalivePolicy, Lists } from "../src/index.ts"
import { ScriptedServer } from "../src/testing/index.ts"

type Told = Pick<KeepaliveEvent.ListChanged, "kind" | "added" | "removed" | "changed">

const keep = Effect.fnUntraced(function* (server: ScriptedServer.ScriptedServer, policy: KeepalivePolicy.Options = {}) {
  const all: Array<Told> = []
  const backend = yield* Backend.make({
    id: "scripted",
    connector: server.connector,
    policy: { interval: "30 seconds", probe: "none", stableAfter: 0, ...policy }
  }).pipe(
    Effect.provide(
      KeepaliveEvent.layerObserver((event) => {
        if (event._tag !== "ListChanged") return
        const { added, changed, kind, removed } = event
        all.push({ kind, added, removed, changed })
      })
    )
  )
  /** what was told since it was asked last */
  const told = () => all.splice(0)
  yield* TestClock.adjust("10 millis")
  return { backend, told }
})

const tool = (name: string, description = "") => ({ name, description })

const difference = (kind: Lists.Kind, told: Partial<Told>): Told => ({
  kind,
  added: [],
  removed: [],
  changed: [],
  ...told
})

const namesOf = (entries: ReadonlyArray<Lists.Entry>) =>
  entries.map(({ name, removed }) => (removed ? `(${name})` : name))

describe("the lists of a backend", () => {
  it.effect("are read on the first session, and each is one event", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("echo"), tool("add")]
      server.script.resources = [{ name: "file:///a" }]
      const { backend, told } = yield* keep(server)
      assert.deepStrictEqual(told(), [
        difference("tools", { added: ["add", "echo"] }),
        difference("resources", { added: ["file:///a"] })
      ])
      const { prompts, resources, tools } = yield* backend.lists
      assert.deepStrictEqual(namesOf(tools), ["add", "echo"])
      assert.deepStrictEqual(prompts, [])
      assert.deepStrictEqual(namesOf(resources), ["file:///a"])
      assert.strictEqual(tools[0]?.fingerprint, Lists.fingerprint({ description: "", name: "add" }))
    })
  )

  it.effect("are read again on the next session: what is the same is not told again", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("kept"), tool("removed")]
      const { backend, told } = yield* keep(server)
      told()
      yield* backend.reconnect
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told(), [])
      server.script.tools = [tool("kept"), tool("added")]
      yield* backend.reconnect
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told(), [difference("tools", { added: ["added"] })])
      assert.deepStrictEqual(namesOf((yield* backend.lists).tools), ["added", "kept", "(removed)"])
      yield* TestClock.adjust("30 seconds")
      assert.deepStrictEqual(told(), [difference("tools", { removed: ["removed"] })])
      assert.deepStrictEqual(namesOf((yield* backend.lists).tools), ["added", "kept"])
    })
  )

  it.effect("stay while there is no session, and after the end", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("echo")]
      const { backend, told } = yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server)
          server.script.connect = ScriptedServer.unreachable()
          server.kill("reset")
          yield* TestClock.adjust("10 minutes")
          assert.notStrictEqual((yield* kept.backend.state)._tag, "Connected")
          assert.deepStrictEqual(namesOf((yield* kept.backend.lists).tools), ["echo"])
          return kept
        })
      )
      assert.deepStrictEqual(namesOf((yield* backend.lists).tools), ["echo"])
      assert.deepStrictEqual(told(), [difference("tools", { added: ["echo"] })])
    })
  )

  it.effect("of which one cannot be read stay as they were, and the session lives", () =>
    Effect.gen(function* () {
      for (const reply of [
        ScriptedServer.error(-32601),
        ScriptedServer.refuse(503),
        ScriptedServer.overflow,
        ScriptedServer.unreachable("protocol"),
        ScriptedServer.silence
      ]) {
        const server = ScriptedServer.make()
        server.script.tools = [tool("echo")]
        server.script.prompts = [{ name: "greet" }]
        const { backend, told } = yield* keep(server)
        told()
        server.script.list = (kind) => (kind === "tools" ? reply : ScriptedServer.answer)
        server.script.tools = []
        server.script.prompts = [{ name: "other" }]
        yield* backend.reconnect
        server.listChanged("tools")
        yield* TestClock.adjust("2 minutes")
        assert.deepStrictEqual(namesOf((yield* backend.lists).tools), ["echo"])
        // one that hangs does not keep the others from being read
        assert.deepStrictEqual(told(), [
          difference("prompts", { added: ["other"] }),
          difference("prompts", { removed: ["greet"] })
        ])
        const state = yield* backend.state
        assert(state._tag === "Connected")
        assert.strictEqual(state.generation, 2)
      }
    })
  )

  it.effect("have a bound on the time that their reading takes, that of an attempt for each", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.list = (kind) => (kind === "resources" ? ScriptedServer.answer : ScriptedServer.silence)
      server.script.resources = [{ name: "file:///a" }]
      const { told } = yield* keep(server, { connectTimeout: "7 seconds" })
      yield* TestClock.adjust("13980 millis")
      assert.deepStrictEqual(told(), [])
      yield* TestClock.adjust("20 millis")
      assert.deepStrictEqual(told(), [difference("resources", { added: ["file:///a"] })])
    })
  )
})

describe("list_changed", () => {
  it.effect("reads that list again, and no other", () =>
    Effect.gen(function* () {
      for (const kind of Lists.kinds) {
        const server = ScriptedServer.make()
        const { told } = yield* keep(server)
        const { lists } = server.counts
        server.script[kind] = [{ name: "new" }]
        server.listChanged(kind)
        yield* TestClock.adjust("10 millis")
        assert.deepStrictEqual(told(), [difference(kind, { added: ["new"] })])
        assert.strictEqual(server.counts.lists, lists + 1)
      }
    })
  )

  it.effect("tells of a schema that is another one under an unchanged name", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const withSchema = (type: string) => [
        { name: "add", inputSchema: { type: "object", properties: { a: { type } } } }
      ]
      server.script.tools = withSchema("number")
      const { told } = yield* keep(server)
      told()
      server.script.tools = withSchema("string")
      server.listChanged("tools")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(told(), [difference("tools", { changed: ["add"] })])
    })
  )

  it.effect("in a burst is one reading under way and one more", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.latency = "100 millis"
      const { told } = yield* keep(server)
      yield* TestClock.adjust("1 second")
      const { lists } = server.counts
      for (let time = 0; time < 50; time++) {
        server.script.tools = [tool(`${time}`)]
        server.listChanged("tools")
        yield* TestClock.adjust("1 millis")
      }
      assert.strictEqual(server.counts.lists, lists + 1)
      yield* TestClock.adjust("1 second")
      assert.strictEqual(server.counts.lists, lists + 2)
      assert.deepStrictEqual(told(), [difference("tools", { added: ["49"] })])
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.counts.lists, lists + 2)
    })
  )

  it.effect(
    "without an end is read at most once in a confirmInterval, and one more, and what is true then is known",
    () =>
      Effect.gen(function* () {
        const server = ScriptedServer.make()
        const { backend } = yield* keep(server, { confirmInterval: "5 seconds" })
        const { lists } = server.counts
        for (let time = 0; time < 600; time++) {
          server.script.tools = [tool(`${time}`)]
          server.listChanged("tools")
          yield* TestClock.adjust("100 millis")
        }
        assert.isAtMost(server.counts.lists - lists, 60 / 5 + 2)
        assert.isAtLeast(server.counts.lists - lists, 60 / 5)
        yield* TestClock.adjust("5 seconds")
        assert.include(namesOf((yield* backend.lists).tools), "599")
      })
  )

  it.effect("while a new session is being read does not make that reading endless", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.latency = "1 second"
      const { backend } = yield* keep(server)
      yield* TestClock.adjust("10 seconds")
      const { lists } = server.counts
      yield* backend.reconnect.pipe(Effect.forkChild({ startImmediately: true }))
      for (let time = 0; time < 300; time++) {
        for (const kind of Lists.kinds) server.listChanged(kind)
        yield* TestClock.adjust("100 millis")
      }
      // one reading of all three for the session, and of all three for each round that is allowed
      assert.isAtMost(server.counts.lists - lists, 3 + 3 * (30 / 5 + 2))
    })
  )

  it.effect("of a session that is not the current one reads nothing", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend } = yield* keep(server)
      yield* backend.isolate
      const { lists } = server.counts
      server.listChanged("tools")
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.counts.lists, lists)
    })
  )

  it.effect("is forgotten with the session on which it was said", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      const { backend } = yield* keep(server)
      for (let time = 0; time < 3; time++) {
        server.listChanged("tools")
        yield* TestClock.adjust("10 millis")
      }
      const { lists } = server.counts
      yield* backend.isolate
      yield* TestClock.adjust("1 minute")
      assert.strictEqual(server.counts.lists, lists)
    })
  )
})

describe("an entry that is listed no longer", () => {
  it.effect("is told to be removed when removalGrace has passed, to the second", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("a")]
      const { backend, told } = yield* keep(server, { removalGrace: "20 seconds" })
      told()
      server.script.tools = []
      server.listChanged("tools")
      yield* TestClock.adjust("19 seconds")
      assert.deepStrictEqual(told(), [])
      assert.deepStrictEqual(namesOf((yield* backend.lists).tools), ["(a)"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual(told(), [difference("tools", { removed: ["a"] })])
      assert.deepStrictEqual((yield* backend.lists).tools, [])
    })
  )

  it.effect("and comes back as it was is no event", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("a"), tool("b")]
      const { backend, told } = yield* keep(server)
      told()
      // a server that has just started lists what it has loaded
      server.script.tools = [tool("a")]
      server.kill("process_exit")
      yield* TestClock.adjust("10 seconds")
      server.script.tools = [tool("a"), tool("b")]
      server.listChanged("tools")
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(told(), [])
      assert.deepStrictEqual(namesOf((yield* backend.lists).tools), ["a", "b"])
    })
  )

  it.effect("is told at once without a grace", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("a")]
      const { told } = yield* keep(server, { removalGrace: 0 })
      told()
      server.script.tools = [tool("b")]
      server.listChanged("tools")
      yield* TestClock.adjust("10 millis")
      assert.deepStrictEqual(told(), [difference("tools", { added: ["b"], removed: ["a"] })])
    })
  )

  it.effect("is not told once the backend has ended", () =>
    Effect.gen(function* () {
      const server = ScriptedServer.make()
      server.script.tools = [tool("a")]
      const { told } = yield* Effect.scoped(
        Effect.gen(function* () {
          const kept = yield* keep(server)
          server.script.tools = []
          server.listChanged("tools")
          yield* TestClock.adjust("1 second")
          kept.told()
          return kept
        })
      )
      yield* TestClock.adjust("10 minutes")
      assert.deepStrictEqual(told(), [])
    })
  )
})

describe("whatever a server lists, says and suffers", () => {
  type Step =
    | {
        readonly _tag: "List"
        readonly kind: Lists.Kind
        readonly names: ReadonlyArray<string>
        readonly version: number
      }
    | { readonly _tag: "Say"; readonly kind: Lists.Kind }
    | { readonly _tag: "Kill" | "Reconnect" | "Break" | "Mend" }
    | { readonly _tag: "Wait"; readonly seconds: number }

  const kind = fc.constantFrom(...Lists.kinds)
  const steps = fc.array(
    fc.oneof(
      fc.record({
        _tag: fc.constant("List" as const),
        kind,
        names: fc.subarray(["a", "b", "c", "d"]),
        version: fc.integer({ min: 1, max: 2 })
      }),
      fc.record({ _tag: fc.constant("Say" as const), kind }),
      fc.record({ _tag: fc.constantFrom("Kill" as const, "Reconnect" as const, "Break" as const, "Mend" as const) }),
      fc.record({ _tag: fc.constant("Wait" as const), seconds: fc.integer({ min: 0, max: 20 }) })
    ) satisfies fc.Arbitrary<Step>,
    { maxLength: 25 }
  )

  it("the events, applied to nothing, give what is known at every moment, and in the end what is true", () =>
    fc.assert(
      fc.asyncProperty(steps, (steps) =>
        Effect.gen(function* () {
          const server = ScriptedServer.make()
          server.script.latency = "300 millis"
          const { backend, told } = yield* keep(server, { removalGrace: "10 seconds", backoff: { cap: "2 seconds" } })
          const names = { tools: new Set<string>(), prompts: new Set<string>(), resources: new Set<string>() }
          const agree = Effect.gen(function* () {
            for (const { added, changed, kind, removed } of told()) {
              const known = names[kind]
              assert.isAbove(added.length + changed.length + removed.length, 0)
              for (const name of added) assert.isFalse(known.has(name))
              for (const name of [...changed, ...removed]) assert.isTrue(known.has(name))
              for (const name of added) known.add(name)
              for (const name of removed) known.delete(name)
            }
            const lists = yield* backend.lists
            for (const kind of Lists.kinds) {
              const found = lists[kind].map(({ name }) => name)
              assert.deepStrictEqual(found, [...names[kind]].toSorted())
            }
          })
          for (const step of steps) {
            switch (step._tag) {
              case "List":
                server.script[step.kind] = step.names.map((name) => ({ name, version: step.version }))
                break
              case "Say":
                server.listChanged(step.kind)
                break
              case "Kill":
                server.kill("reset")
                break
              case "Reconnect":
                yield* Effect.forkChild(backend.reconnect, { startImmediately: true })
                break
              case "Break":
                server.script.list = () => ScriptedServer.refuse(503)
                break
              case "Mend":
                server.script.list = () => ScriptedServer.answer
                break
              case "Wait":
                yield* TestClock.adjust(`${step.seconds} seconds`)
            }
            yield* TestClock.adjust("50 millis")
            yield* agree
          }
          server.script.list = () => ScriptedServer.answer
          yield* backend.reset
          yield* TestClock.adjust("1 minute")
          for (const kind of Lists.kinds) server.listChanged(kind)
          yield* TestClock.adjust("1 minute")
          yield* agree
          const lists = yield* backend.lists
          for (const kind of Lists.kinds) {
            const truth = server.script[kind].map((definition) => ({
              name: definition.name,
              fingerprint: Lists.fingerprint(definition),
              removed: false
            }))
            assert.deepStrictEqual(lists[kind], truth)
          }
        }).pipe(Effect.scoped, Effect.provide(TestClock.layer()), Effect.runPromise)
      ),
      { numRuns: 150 }
    ))
})
