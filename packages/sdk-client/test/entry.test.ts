/** What the package is to those who have the MCP SDK, and to those who have not. */
import { describe, expect, it } from "@effect/vitest"
import type { Transport as Transport2 } from "@modelcontextprotocol/client"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { execFile } from "node:child_process"
import { readFile } from "node:fs/promises"
import { promisify } from "node:util"
import { ClientTransport, type Message } from "../src/index.ts"

const root = new URL("../", import.meta.url)

/** Imports a module in a process of its own, and gives the URLs of all that was loaded for it. */
const loadedFor = async (specifier: string): Promise<ReadonlyArray<string>> => {
  const program = `
    import { registerHooks } from "node:module"
    const loaded = []
    registerHooks({
      load: (url, context, next) => {
        loaded.push(url)
        return next(url, context)
      }
    })
    const module = await import(${JSON.stringify(specifier)})
    console.log(JSON.stringify({ loaded, names: Object.keys(module) }))
  `
  const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "--eval", program], {
    cwd: root
  })
  const { loaded, names }: { loaded: ReadonlyArray<string>; names: ReadonlyArray<string> } = JSON.parse(stdout)
  expect(names).toContain("Requests")
  return loaded
}

/** The modules that a file of declarations imports, and those that they import, as far as they are of this package. */
const importedBy = async (file: URL, found = new Set<string>()): Promise<ReadonlySet<string>> => {
  if (found.has(file.href)) return found
  found.add(file.href)
  const text = await readFile(file, "utf8")
  for (const [, specifier = ""] of text.matchAll(/(?:from|import\(|import)\s*"([^"]+)"/g)) {
    if (specifier.startsWith(".")) await importedBy(new URL(specifier.replace(/\.(ts|js)$/, ".d.ts"), file), found)
    else found.add(specifier)
  }
  return found
}

const isSdk = (name: string) => name.includes("@modelcontextprotocol")

describe("the entry ./peer", { timeout: 60_000 }, () => {
  it("loads nothing of the MCP SDK", async () => {
    const loaded = await loadedFor("@vmcp-keepalive/sdk-client/peer")
    expect(loaded).toContain(new URL("dist/withoutSdk.js", root).href)
    expect(loaded).toContain(new URL("dist/Peer.js", root).href)
    expect(loaded.filter(isSdk)).toEqual([])
    // as the other one does, which is how this would be noticed
    expect((await loadedFor("@vmcp-keepalive/sdk-client")).some(isSdk)).toBe(true)
  })

  it("has no type of the MCP SDK", async () => {
    const imported = await importedBy(new URL("dist/withoutSdk.d.ts", root))
    expect([...imported]).toContain(new URL("dist/Requests.d.ts", root).href)
    expect([...imported]).toContain("@vmcp-keepalive/core")
    expect([...imported].filter(isSdk)).toEqual([])
    expect([...(await importedBy(new URL("dist/index.d.ts", root)))].some(isSdk)).toBe(true)
  })
})

describe("the entry ./sdk2", { timeout: 60_000 }, () => {
  it("loads the SDK 2.x, and nothing of the SDK 1.x", async () => {
    const loaded = (await loadedFor("@vmcp-keepalive/sdk-client/sdk2")).filter(isSdk)
    expect(loaded.some((url) => url.includes("@modelcontextprotocol/client/"))).toBe(true)
    expect(loaded.filter((url) => url.includes("@modelcontextprotocol/sdk/"))).toEqual([])
  })

  it("has the types of the SDK 2.x only", async () => {
    const imported = [...(await importedBy(new URL("dist/sdk2/index.d.ts", root)))].filter(isSdk)
    expect(imported).toEqual(["@modelcontextprotocol/client"])
  })
})

describe("a ClientTransport", () => {
  it("is a transport of both SDKs, by its type", async () => {
    const sent: Array<Message.Message> = []
    const made = new ClientTransport.ClientTransport({
      subscriptions: new Set(),
      request: () => {},
      transmit: async (message) => void sent.push(message),
      closed: () => {}
    })
    const transport: Transport = made
    const other: Transport2 = made
    expect(other.hasPerRequestStream).toBe(false)
    await transport.start()
    await transport.send({ jsonrpc: "2.0", method: "notifications/initialized" }, { relatedRequestId: 1 })
    transport.setProtocolVersion?.("2025-11-25")
    expect(transport.sessionId).toBe(undefined)
    expect(sent).toEqual([{ jsonrpc: "2.0", method: "notifications/initialized" }])
  })
})
