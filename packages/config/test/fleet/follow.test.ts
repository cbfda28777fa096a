/** What a file means for a fleet, on servers in memory. */
import { KeepaliveConfig } from "@vmcp-keepalive/config"
import type { Fleet } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Deferred, Effect, Option, type Scope, Stream } from "effect"
import { assert, describe, it } from "vitest"
import * as Following from "../../src/internal/following.ts"
import { withEnvironment } from "../support.ts"
import { file, follow, inMemory, until } from "./support.ts"

type Client = ScriptedServer.ScriptedClient

const servers = (entries: Readonly<Record<string, object>>) => ({
  mcpServers: Object.fromEntries(
    Object.entries(entries).map(([id, entry]) => [id, { url: `http://${id}/mcp`, ...entry }])
  )
})

const play = <E>(program: Effect.Effect<unknown, E, Scope.Scope | Fleet.Transport<Client>>) =>
  program.pipe(Effect.provide(inMemory().transport), Effect.scoped, withEnvironment, Effect.runPromise)

const generationOf = (fleet: Fleet.Fleet<Client>, id: string) =>
  Effect.gen(function* () {
    const backend = Option.getOrThrow(yield* fleet.get(id))
    yield* backend.awaitConnected
    const state = yield* backend.state
    return state._tag === "Connected" ? state.generation : 0
  })

describe("a fleet that follows a file", () => {
  it("has what the file lists; what is not enabled is as if it were not there", () =>
    play(
      Effect.gen(function* () {
        const { path, write } = yield* file("rename", servers({ a: {}, b: {}, c: { disabled: true } }))
        const { fleet, told } = yield* follow<Client>(path)
        assert.strictEqual(yield* told, "Added a, Added b")
        write(servers({ a: { enabled: false }, b: {}, c: {} }))
        assert.strictEqual(yield* told, "Removed a, Added c")
        assert.deepStrictEqual(yield* fleet.ids, ["b", "c"])
      })
    ))

  it("changes nothing for a file that is wrong, tells its mistakes once, and takes the next that is right", () =>
    play(
      Effect.gen(function* () {
        const { path, write } = yield* file("rename", servers({ a: {}, b: {} }))
        const { changes, fleet, told, untold } = yield* follow<Client>(path)
        assert.strictEqual(yield* told, "Added a, Added b")
        assert.strictEqual(yield* generationOf(fleet, "a"), 1)

        write(servers({ a: { keepalive_interval: 1 }, b: { keepalive_method: "pong" } }))
        const mistakes = (yield* told).split("\n")
        assert.lengthOf(mistakes, 2)
        assert.match(mistakes[0] ?? "", /mcp\.json:\d+:\d+ mcpServers\.a\.keepalive_interval: expected/)
        assert.match(mistakes[1] ?? "", /mcp\.json:\d+:\d+ mcpServers\.b\.keepalive_method: expected/)
        assert.deepStrictEqual(yield* fleet.ids, ["a", "b"])

        // once more the same, which is followed by what is told next
        write(servers({ a: { keepalive_interval: 1 }, b: { keepalive_method: "pong" } }))
        write(servers({ a: {}, b: { keepalive_interval: 30 } }))
        assert.strictEqual(yield* told, "Replaced b (policy)")
        assert.strictEqual(yield* untold, 0)
        assert.strictEqual(yield* generationOf(fleet, "a"), 1)
        assert.lengthOf(changes, 3)
      })
    ))

  it("tells what was right before as no change, when it comes back after mistakes", () =>
    play(
      Effect.gen(function* () {
        const { path, write } = yield* file("in place", servers({ a: {} }))
        const { told } = yield* follow<Client>(path)
        assert.strictEqual(yield* told, "Added a")
        write("{")
        assert.match(yield* told, /^refused: /)
        write(servers({ a: {} }))
        assert.strictEqual(yield* told, "")
      })
    ))

  it("is left as it is by what it refuses: all of that is told, once, and it is asked again until it takes it", () =>
    play(
      Effect.gen(function* () {
        const local = { local: { command: "node" } }
        const { path, write } = yield* file("rename", servers({ a: {} }))
        const { fleet, told, untold } = yield* follow<Client>(path, { retry: 20 })
        assert.strictEqual(yield* told, "Added a")
        const other = yield* fleet.add({ id: "b", connector: ScriptedServer.make().connector })
        write({ mcpServers: { ...servers({ b: {}, c: {} }).mcpServers, ...local } })
        const refusal = yield* told
        assert.include(refusal, '"b"')
        assert.include(refusal, '"local"')
        assert.include(refusal, "@vmcp-keepalive/transport-stdio")
        assert.deepStrictEqual(yield* fleet.ids, ["a", "b"])
        assert.strictEqual((yield* other.state)._tag === "Closed", false)

        write(servers({ b: {}, c: {} }))
        const rest = yield* told
        assert.include(rest, '"b"')
        assert.notInclude(rest, '"local"')
        // what it lacked has come, and the file is as it was
        assert.isTrue(yield* fleet.remove("b"))
        assert.strictEqual(yield* told, "Removed a, Added b, Added c")
        assert.strictEqual(yield* untold, 0)
      })
    ))

  it("takes the last of what is read while the fleet is busy", () =>
    Effect.gen(function* () {
      const busy = yield* Deferred.make<void>()
      const done = yield* Deferred.make<void>()
      const taken: Array<string> = []
      const fleet: Pick<Fleet.Fleet<unknown>, "apply"> = {
        apply: (specs) =>
          Effect.suspend(() => {
            taken.push(specs.map(({ id }) => id).join(" "))
            return taken.length > 1
              ? Effect.succeed([])
              : Effect.as(Effect.andThen(Deferred.succeed(busy, undefined), Deferred.await(done)), [])
          })
      }
      const read = (id: string) => KeepaliveConfig.parse(JSON.stringify(servers({ [id]: {} }))).pipe(Effect.result)
      const reads = Stream.fromEffect(read("a")).pipe(
        Stream.concat(Stream.fromEffectDrain(Deferred.await(busy))),
        Stream.concat(Stream.fromIterableEffect(Effect.all([read("b"), read("c"), read("d")]))),
        Stream.concat(Stream.fromEffectDrain(Deferred.succeed(done, undefined))),
        Stream.concat(Stream.never)
      )
      yield* Following.make(reads, fleet, "1 minute").pipe(Stream.take(2), Stream.runDrain)
      assert.deepStrictEqual(taken, ["a", "d"])
    }).pipe(Effect.runPromise))

  it("waits for servers that the file requires, and for no others", () =>
    Effect.gen(function* () {
      const { servers: made, transport } = inMemory()
      for (const id of ["down", "needed"]) {
        const server = ScriptedServer.make()
        server.script.connect = { _tag: "Unreachable", reason: "refused" }
        made.set(`http://${id}/mcp`, server)
      }
      yield* Effect.gen(function* () {
        const required = { keepalive: { required: true, startDeadline: "50 millis" } }
        const { path, write } = yield* file("rename", servers({ a: required, down: {} }))
        const { fleet, told } = yield* follow<Client>(path)
        yield* told
        yield* fleet.ready
        write(servers({ a: required, down: {}, needed: required }))
        yield* told
        const missing = yield* Effect.flip(fleet.ready)
        assert.deepStrictEqual(
          missing.backends.map(({ backend }) => backend),
          ["needed"]
        )
      }).pipe(Effect.provide(transport))
    }).pipe(Effect.scoped, withEnvironment, Effect.runPromise))

  it("holds 10,000 backends of one file, takes a change of one, and ends", { timeout: 60_000 }, () =>
    Effect.gen(function* () {
      const { servers: made, transport } = inMemory()
      const all = Array.from({ length: 10_000 }, (_, index) => [`s${index}`, {}] as const)
      yield* Effect.gen(function* () {
        const { path, write } = yield* file("rename", servers(Object.fromEntries(all)))
        const { changes, fleet, told } = yield* follow<Client>(path)
        yield* told
        assert.strictEqual((yield* fleet.ids).length, 10_000)
        yield* until(
          "all are connected",
          Effect.map(fleet.states, (states) => [...states.values()].every(({ _tag }) => _tag === "Connected"))
        )
        write(servers({ ...Object.fromEntries(all), s77: { keepalive_interval: 30 } }))
        assert.strictEqual(yield* told, "Replaced s77 (policy)")
        assert.lengthOf(changes, 10_001)
      }).pipe(Effect.provide(transport), Effect.scoped)
      const open = [...made.values()].reduce((sum, { counts }) => sum + counts.open, 0)
      assert.strictEqual(open, 0)
    }).pipe(withEnvironment, Effect.runPromise)
  )
})
