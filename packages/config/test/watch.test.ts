import { NodeServices } from "@effect/platform-node"
import { KeepaliveConfig } from "@vmcp-keepalive/config"
import { Effect, Exit, FileSystem, Queue, Result, Scope, Stream } from "effect"
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  unlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout as sleep } from "node:timers/promises"
import { afterEach, assert, beforeEach, describe, it, vi } from "vitest"
import { mistakes, type Read, withEnvironment } from "./support.ts"

let folder: string
let scope: Scope.Closeable
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "keepalive-watch-"))
  scope = Scope.makeUnsafe()
})
afterEach(async () => {
  await Effect.runPromise(Scope.close(scope, Exit.void))
  rmSync(folder, { recursive: true })
})

const file = (...ports: ReadonlyArray<number | string>) =>
  JSON.stringify({ mcpServers: Object.fromEntries(ports.map((port) => [`s${port}`, { url: `http://h:${port}/mcp` }])) })

/** What a result says in one word: the names of the servers, or how many mistakes. */
const word = (read: Read): string =>
  Result.isSuccess(read) ? read.success.specs.map(({ id }) => id).join(" ") : `${mistakes(read).length} wrong`

/** Watches; what comes stands in a queue. The first result is taken, so that the watchers are there. */
const watching = async (path: string, first: string, fileSystem = (real: FileSystem.FileSystem) => real) => {
  const results = await Effect.runPromise(
    Effect.gen(function* () {
      const queue = yield* Queue.unbounded<Read>()
      const real = yield* FileSystem.FileSystem
      yield* KeepaliveConfig.watch(path, { debounce: 20 }).pipe(
        Stream.runForEach((read) => Queue.offer(queue, read)),
        Effect.provideService(FileSystem.FileSystem, fileSystem(real)),
        withEnvironment,
        Effect.forkIn(scope)
      )
      return queue
    }).pipe(Effect.provide(NodeServices.layer))
  )
  const next = async () => word(await Effect.runPromise(Queue.take(results).pipe(Effect.timeout("10 seconds"))))
  assert.strictEqual(await next(), first)
  return { next, others: () => Effect.runPromise(Queue.clear(results)).then((reads) => reads.map(word)) }
}

describe("a file that is watched", () => {
  it("is read again when it is written in place", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    const { next } = await watching(path, "s1")
    writeFileSync(path, file(1, 2))
    assert.strictEqual(await next(), "s1 s2")
    writeFileSync(path, file(3))
    assert.strictEqual(await next(), "s3")
  })

  it("is read again when another takes its name, as editors do it, and goes on being watched", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    const { next } = await watching(path, "s1")
    for (const port of [2, 3]) {
      writeFileSync(`${path}.new`, file(port))
      renameSync(`${path}.new`, path)
      assert.strictEqual(await next(), `s${port}`)
    }
    writeFileSync(path, file(4))
    assert.strictEqual(await next(), "s4")
  })

  it("is read again when a link on its way is exchanged, as Kubernetes does it", async () => {
    for (const [name, port] of [
      ["v1", 1],
      ["v2", 2],
      ["v3", 3]
    ] as const) {
      mkdirSync(join(folder, name))
      writeFileSync(join(folder, name, "mcp.json"), file(port))
    }
    const path = join(folder, "mcp.json")
    symlinkSync("v1", join(folder, "..data"))
    symlinkSync(join("..data", "mcp.json"), path)
    const { next } = await watching(path, "s1")
    for (const version of ["v2", "v3"]) {
      symlinkSync(version, join(folder, "..next"))
      renameSync(join(folder, "..next"), join(folder, "..data"))
      assert.strictEqual(await next(), `s${version.slice(1)}`)
    }
    // also what a link leads to may be written
    writeFileSync(join(folder, "v3", "mcp.json"), file(4))
    assert.strictEqual(await next(), "s4")
  })

  it("is read again when a folder on its way is a link to another", async () => {
    for (const [name, port] of [
      ["one", 1],
      ["two", 2]
    ] as const) {
      mkdirSync(join(folder, name))
      writeFileSync(join(folder, name, "mcp.json"), file(port))
    }
    symlinkSync("one", join(folder, "current"))
    const { next } = await watching(join(folder, "current", "mcp.json"), "s1")
    symlinkSync("two", join(folder, "next"))
    renameSync(join(folder, "next"), join(folder, "current"))
    assert.strictEqual(await next(), "s2")
  })

  it("tells mistakes once, and takes the next good content", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    const { next, others } = await watching(path, "s1")
    writeFileSync(path, `{ "mcpServers": { "a": {}, "b": {} } }`)
    assert.strictEqual(await next(), "2 wrong")
    // the same content twice more, each seen: what comes after them is told next
    writeFileSync(path, `{ "mcpServers": { "a": {}, "b": {} } }`)
    await sleep(200)
    writeFileSync(path, `{ "mcpServers": { "a": {}, "b": {} } }`)
    await sleep(200)
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
    assert.deepStrictEqual(await others(), [])
  })

  it("tells nothing of a content that says the same, comments aside", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    const { next, others } = await watching(path, "s1")
    writeFileSync(path, file(1))
    await sleep(200)
    writeFileSync(path, `// a comment\n${file(1)}`)
    await sleep(200)
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
    assert.deepStrictEqual(await others(), [])
  })

  it("tells nothing of a comment either where something in the file is ignored", async () => {
    const path = join(folder, "mcp.json")
    const ignored = `{ "mcpServers": { "s1": { "url": "http://h/mcp", "colour": "red" } } }`
    writeFileSync(path, ignored)
    const { next, others } = await watching(path, "s1")
    writeFileSync(path, `// a comment\n${ignored}`)
    await sleep(200)
    assert.deepStrictEqual(await others(), [])
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
  })

  it("is missing: a mistake until it is there, be it with its folder", async () => {
    const path = join(folder, "deep", "er", "mcp.json")
    const { next } = await watching(path, "1 wrong")
    mkdirSync(join(folder, "deep", "er"), { recursive: true })
    writeFileSync(path, file(1))
    assert.strictEqual(await next(), "s1")
    unlinkSync(path)
    assert.strictEqual(await next(), "1 wrong")
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
    rmSync(join(folder, "deep"), { recursive: true })
    assert.strictEqual(await next(), "1 wrong")
    mkdirSync(join(folder, "deep", "er"), { recursive: true })
    writeFileSync(path, file(3))
    assert.strictEqual(await next(), "s3")
  })

  it("is in a folder that goes, and that comes back as another", async () => {
    const inner = join(folder, "inner")
    const path = join(inner, "mcp.json")
    mkdirSync(inner)
    writeFileSync(path, file(1))
    const { next } = await watching(path, "s1")
    rmSync(inner, { recursive: true })
    assert.strictEqual(await next(), "1 wrong")
    mkdirSync(inner)
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
    // watched again, and not looked at every second
    const begin = performance.now()
    writeFileSync(path, file(3))
    assert.strictEqual(await next(), "s3")
    assert.isBelow(performance.now() - begin, 900)
  })

  it.each(["moved there", "made anew"] as const)(
    "is in a folder whose place another one takes at once, which is %s, and goes on being watched",
    async (way) => {
      const inner = join(folder, "inner")
      const path = join(inner, "mcp.json")
      mkdirSync(inner)
      writeFileSync(path, file(1))
      const { next } = await watching(path, "s1")
      const another = join(folder, "another")
      mkdirSync(another)
      writeFileSync(join(another, "mcp.json"), file(2))
      if (way === "moved there") renameSync(inner, join(folder, "before"))
      else rmSync(inner, { recursive: true })
      renameSync(another, inner)
      assert.strictEqual(await next(), "s2")
      writeFileSync(path, file(3))
      assert.strictEqual(await next(), "s3")
    }
  )

  it("is looked at every second where nothing can be watched", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    const { next } = await watching(path, "s1", (real) => ({ ...real, watch: () => Stream.die("no watcher is left") }))
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
  })

  it("is changed a hundred times, and the last content is told at last", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(0))
    const { next } = await watching(path, "s0")
    for (let port = 1; port <= 100; port += 1) {
      writeFileSync(path, file(port))
      if (port % 10 === 0) await sleep(10)
    }
    const told: Array<string> = []
    while (told.at(-1) !== "s100") told.push(await next())
    assert.isAtMost(told.length, 30, told.join(", "))
    assert.isTrue(
      told.every((each) => /^s\d+$/.test(each)),
      told.join(", ")
    )
  })

  it("is not read for what happens beside it", async () => {
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    let reads = 0
    const { next } = await watching(path, "s1", (real) => ({
      ...real,
      stat: (name) => {
        if (name === path) reads += 1
        return real.stat(name)
      }
    }))
    const before = reads
    for (let index = 0; index < 20; index += 1) writeFileSync(join(folder, `other-${index}`), "x")
    await sleep(200)
    assert.strictEqual(reads, before)
    writeFileSync(path, file(2))
    assert.strictEqual(await next(), "s2")
  })

  it("leaves no watcher behind", async () => {
    const watchers = () => process.getActiveResourcesInfo().filter((name) => name === "FSEventWrap").length
    // a handle is gone a moment after it was closed
    await vi.waitFor(() => assert.strictEqual(watchers(), 0))
    const path = join(folder, "mcp.json")
    writeFileSync(path, file(1))
    await watching(path, "s1")
    assert.strictEqual(watchers(), 1)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    await vi.waitFor(() => assert.strictEqual(watchers(), 0))
    assert.deepStrictEqual(readdirSync(folder), ["mcp.json"])
  })
})
