import { NodeServices } from "@effect/platform-node"
import { KeepaliveConfig } from "@vmcp-keepalive/config"
import { Effect, FileSystem, PlatformError, Result } from "effect"
import { execFileSync } from "node:child_process"
import { closeSync, ftruncateSync, mkdirSync, mkdtempSync, openSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, assert, describe, it } from "vitest"
import { load, loaded, mistakes, parse } from "./support.ts"

const folder = mkdtempSync(join(tmpdir(), "keepalive-config-"))
afterAll(() => rmSync(folder, { recursive: true }))

const text = `{ "mcpServers": { "a": { "url": "http://h/mcp" } } }`

const written = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

describe("a file that cannot be read", () => {
  const told = async (path: string) => mistakes(await load(path))

  it("does not exist", async () => {
    assert.deepStrictEqual(await told(join(folder, "none.json")), ["expected a file that exists"])
  })

  it("is a directory", async () => {
    assert.deepStrictEqual(await told(folder), ["expected a file; this is a directory"])
  })

  it("stands in what is no directory", async () => {
    assert.deepStrictEqual(await told(join(written("plain.json", text), "mcp.json")), [
      "expected a file that can be read"
    ])
  })

  it("has 50 MB: it is not even opened", async () => {
    const path = join(folder, "large.json")
    const file = openSync(path, "w")
    ftruncateSync(file, 50 * 1024 * 1024)
    closeSync(file)
    assert.deepStrictEqual(await told(path), ["expected a file of at most 16 MiB"])
  })

  it("has no end", async () => {
    assert.deepStrictEqual(await told("/dev/zero"), ["expected an ordinary file"])
  })

  it("is a pipe that nobody writes to", async () => {
    const path = join(folder, "pipe")
    execFileSync("mkfifo", [path])
    assert.deepStrictEqual(await told(path), ["expected an ordinary file"])
  })

  it("is behind symbolic links that lead in a circle", async () => {
    symlinkSync(join(folder, "two"), join(folder, "one"))
    symlinkSync(join(folder, "one"), join(folder, "two"))
    assert.deepStrictEqual(await told(join(folder, "one")), ["expected a file; its symbolic links lead in a circle"])
  })

  it("may not be read", async () => {
    // root may read everything, so the system's answer is given here
    const denied = PlatformError.systemError({ _tag: "PermissionDenied", module: "FileSystem", method: "stat" })
    const layer = FileSystem.layerNoop({ stat: () => Effect.fail(denied) })
    const read = await KeepaliveConfig.load("mcp.json").pipe(
      Effect.provide(layer),
      Effect.provide(NodeServices.layer),
      Effect.result,
      Effect.runPromise
    )
    assert.deepStrictEqual(mistakes(read), ["expected a file that this process may read"])
  })

  it("is in UTF-16, with or without its mark", async () => {
    const utf16 = Buffer.from(text, "utf16le")
    const expected = ["expected text in UTF-8; this is UTF-16, or no text"]
    assert.deepStrictEqual(
      await told(written("marked.json", Buffer.concat([Buffer.from([0xff, 0xfe]), utf16]))),
      expected
    )
    assert.deepStrictEqual(await told(written("bare.json", utf16)), expected)
  })

  it("is in Latin-1", async () => {
    assert.deepStrictEqual(await told(written("latin.json", Buffer.from(`{ "é": 1 }`, "latin1"))), [
      "expected text in UTF-8"
    ])
  })

  it("is a text of more than 16 MiB", async () => {
    assert.deepStrictEqual(mistakes(await parse(" ".repeat(16 * 1024 * 1024 + 1))), [
      "expected a text of at most 16 MiB"
    ])
  })
})

describe("a file that can be read", () => {
  it("begins with a byte order mark, which counts as nothing", async () => {
    const { specs } = loaded(await load(written("bom.json", `\uFEFF${text}`)))
    assert.deepStrictEqual(
      specs.map(({ id }) => id),
      ["a"]
    )
    const wrong = mistakes(await load(written("bom-wrong.json", `\uFEFF{ "mcpServers": [] , }x`)))
    assert.match(wrong[0] ?? "", /^1:23: /)
  })

  it("is behind a link, and in its folder stands its envFile", async () => {
    mkdirSync(join(folder, "real"))
    writeFileSync(
      join(folder, "real", "mcp.json"),
      `{ "mcpServers": { "a": { "command": "x", "envFile": "real/e" } } }`
    )
    writeFileSync(join(folder, "real", "e"), "A=1")
    symlinkSync(join(folder, "real", "mcp.json"), join(folder, "link.json"))
    const { specs } = loaded(await load(join(folder, "link.json")))
    assert.deepStrictEqual(
      specs.map(({ settings }) => settings.kind === "stdio" && Object.keys(settings.env)),
      [["A"]]
    )
  })

  it("has ten thousand servers, and is read in seconds", async () => {
    const entry = (index: number) => ({
      url: `http://h/${index}`,
      headers: { A: "Bearer ${TOKEN}" },
      keepalive_interval: 30
    })
    const servers = Object.fromEntries(Array.from({ length: 10_000 }, (_, index) => [`s${index}`, entry(index)]))
    const path = written("many.json", JSON.stringify({ keepalive: { failureThreshold: 2 }, mcpServers: servers }))
    const begin = performance.now()
    const read = await load(path)
    const took = performance.now() - begin
    assert(Result.isSuccess(read))
    assert.lengthOf(read.success.specs, 10_000)
    assert.isBelow(took, 10_000)
    console.log(`10,000 servers read in ${(took / 1000).toFixed(1)} s`)
  })
})
