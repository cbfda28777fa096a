/** The last lists of backends on disk. */
import { NodeServices } from "@effect/platform-node"
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, FileSystem, Logger, Option, Scope } from "effect"
import { TestClock } from "effect/testing"
import { stat } from "node:fs/promises"
import type { Lists } from "../../src/internal/catalogue/kinds.ts"
import * as File from "../../src/internal/lists/file.ts"
import * as Files from "../../src/internal/lists/files.ts"
import { Ledger, serverOf } from "../host/support.ts"
import { fleetOf, gatewayOf, initialized, namesIn, policy, resultOf } from "../support.ts"

const lists: Lists = {
  tools: [{ name: "echo", inputSchema: { type: "object" } }],
  resources: [{ uri: "a://1?key=secret" }]
}

/** A store of these lists, in a folder that is gone afterwards. */
const start = Effect.fnUntraced(function* (known: ReadonlyMap<string, Lists> = new Map([["a", lists]])) {
  const files = yield* FileSystem.FileSystem
  const folder = `${yield* files.makeTempDirectoryScoped()}/lists`
  const make = Files.make({ folder, known: (id) => known.get(id) ?? {}, ids: () => known.keys() })
  return { files, folder, make }
})

/** What is warned of. */
const warnings = () => {
  const told: Array<string> = []
  return { told, layer: Logger.layer([Logger.make(({ message }) => void told.push(String(message)))]) }
}

describe("the last lists of a backend", () => {
  it.effect("are what was known, for the owner alone, and nothing is left beside them", () =>
    Effect.gen(function* () {
      const { files, folder, make } = yield* start()
      const scope = yield* Scope.make()
      const store = yield* Scope.provide(make, scope)
      store.changed("a")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* files.readDirectory(folder), [File.nameOf("a")])
      const { mode } = yield* files.stat(`${folder}/${File.nameOf("a")}`)
      assert.strictEqual(mode & 0o777, 0o600)
      assert.strictEqual((yield* files.stat(folder)).mode & 0o777, 0o700)
      const later = yield* make
      assert.deepStrictEqual(yield* later.restore("a"), Option.some(lists))
      assert.deepStrictEqual(yield* later.restore("b"), Option.none())
      yield* later.forget("a")
      assert.deepStrictEqual(yield* files.readDirectory(folder), [])
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("are written once for many changes", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      let written = 0
      const counting = FileSystem.FileSystem.of({
        ...files,
        writeFileString: (...args) => {
          written++
          return files.writeFileString(...args)
        }
      })
      const { folder, make } = yield* start()
      const store = yield* Effect.provideService(make, FileSystem.FileSystem, counting)
      for (let at = 0; at < 100; at++) store.changed("a")
      assert.strictEqual(written, 0)
      yield* TestClock.adjust("1 second")
      yield* Effect.promise(() => untilThere(`${folder}/${File.nameOf("a")}`))
      assert.strictEqual(written, 1)
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect(
    "that are broken, of another backend or too many are ignored with a warning, which says nothing of what is in them",
    () =>
      Effect.gen(function* () {
        const { files, folder, make } = yield* start()
        const many = Array.from({ length: 10_001 }, (_, at) => ({ name: `${at}` }))
        for (const text of [
          "secret",
          "{}",
          `{"version":1,"backend":"b","lists":{}}`,
          `{"version":2,"backend":"a","lists":{}}`,
          `{"version":1,"backend":"a","lists":{"tools":"secret"}}`,
          JSON.stringify({ version: 1, backend: "a", lists: { tools: many } })
        ]) {
          const { layer, told } = warnings()
          const read = Effect.gen(function* () {
            const store = yield* make
            yield* files.writeFileString(`${folder}/${File.nameOf("a")}`, text)
            return [yield* store.restore("a"), yield* store.restore("a")]
          })
          assert.deepStrictEqual(yield* Effect.provide(read, layer), [Option.none(), Option.none()])
          assert.lengthOf(told, 1)
          assert.notInclude(told[0], "secret")
        }
      }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("that are longer than a message may be are not kept", () =>
    Effect.gen(function* () {
      const long: Lists = { tools: [{ name: "x".repeat(File.mostBytes) }] }
      const { files, folder, make } = yield* start(new Map([["a", long]]))
      const scope = yield* Scope.make()
      ;(yield* Scope.provide(make, scope)).changed("a")
      yield* Scope.close(scope, Exit.void)
      assert.deepStrictEqual(yield* files.readDirectory(folder), [])
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("go when their backend is not configured any more, other files stay", () =>
    Effect.gen(function* () {
      const { files, folder, make } = yield* start()
      yield* make
      const names = [File.nameOf("a"), File.nameOf("gone"), `${File.nameOf("a")}.0123456789ab.tmp`, "notes.json"]
      for (const name of names) yield* files.writeFileString(`${folder}/${name}`, "")
      yield* TestClock.adjust("1 minute")
      for (const name of names.slice(1, 3)) yield* Effect.promise(() => untilGone(`${folder}/${name}`))
      assert.sameMembers(yield* files.readDirectory(folder), [names[0], "notes.json"])
    }).pipe(Effect.provide(NodeServices.layer))
  )

  it.effect("that cannot be written are done without, with one warning", () =>
    Effect.gen(function* () {
      const { files, folder } = yield* start()
      yield* files.writeFileString(folder, "a file")
      const { layer, told } = warnings()
      const known = () => lists
      const make = Files.make({ folder: `${folder}/below`, known, ids: () => [] })
      const scope = yield* Scope.make()
      yield* Effect.gen(function* () {
        const store = yield* Scope.provide(make, scope)
        for (const id of ["a", "b"]) store.changed(id)
        yield* Scope.close(scope, Exit.void)
      }).pipe(Effect.provide(layer))
      assert.lengthOf(told, 1)
    }).pipe(Effect.provide(NodeServices.layer))
  )
})

describe("a backend that is down when the gateway starts", () => {
  it.live("has the tools that it had, until it is configured no longer", () =>
    Effect.gen(function* () {
      const files = yield* FileSystem.FileSystem
      const folder = yield* files.makeTempDirectoryScoped()
      const server = serverOf("one", new Ledger(), { tools: ["echo"] })
      const life = Effect.gen(function* () {
        const fleet = yield* fleetOf
        for (const id of ["one", "two"]) {
          yield* fleet.add({ id, connector: server.peerConnector, policy: { ...policy, waitForSession: "100 millis" } })
        }
        const gateway = yield* gatewayOf({ fleet, lists: folder, initializeWait: "200 millis" })
        const host = yield* initialized(gateway)
        return { fleet, host, listed: namesIn(yield* host.ask("tools/list"), "tools") }
      })
      assert.deepStrictEqual((yield* Effect.scoped(life)).listed, ["one__echo", "two__echo"])
      yield* server.refuse()
      const { fleet, host, listed } = yield* life
      assert.deepStrictEqual(listed, ["one__echo", "two__echo"])
      const refused = resultOf(yield* host.call("one__echo"))
      assert.deepInclude(Object(refused["_meta"])["vmcp-keepalive"], { backend: "one", executed: "no" })
      yield* fleet.remove("two")
      yield* host.untilMethod("notifications/tools/list_changed")
      assert.deepStrictEqual(yield* files.readDirectory(folder), [File.nameOf("one")])
    }).pipe(Effect.provide(NodeServices.layer))
  )
})

const untilThere = async (file: string) => {
  while (!(await exists(file))) await new Promise((resolve) => setImmediate(resolve))
}

const untilGone = async (file: string) => {
  while (await exists(file)) await new Promise((resolve) => setImmediate(resolve))
}

const exists = (file: string) =>
  stat(file).then(
    () => true,
    () => false
  )
