import { EditorSchema } from "@vmcp-keepalive/config"
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"
import { getLanguageService, TextDocument } from "vscode-json-languageservice"

const published = fileURLToPath(new URL("../schema.json", import.meta.url))
const files = fileURLToPath(new URL("files", import.meta.url))

const written = `${JSON.stringify(EditorSchema.make(), null, 2)}\n`
if (process.env["UPDATE_SCHEMA"] === "1") writeFileSync(published, written)

/** What VS Code itself does with the file that is published: its own language service. */
const service = getLanguageService({})
service.configure({
  validate: true,
  schemas: [{ uri: "mem://schema.json", fileMatch: ["*.json"], schema: JSON.parse(readFileSync(published, "utf8")) }]
})

/** A document, and where `|` stands in it. */
const at = (marked: string) => {
  const offset = Math.max(0, marked.indexOf("|"))
  const document = TextDocument.create("file:///mcp.json", "json", 1, marked.replace("|", ""))
  return { document, json: service.parseJSONDocument(document), position: document.positionAt(offset) }
}

const completed = async (marked: string): Promise<ReadonlyArray<string>> => {
  const { document, json, position } = at(marked)
  return ((await service.doComplete(document, position, json))?.items ?? []).map(({ label }) => label)
}

const hover = async (marked: string): Promise<string> => {
  const { document, json, position } = at(marked)
  return JSON.stringify((await service.doHover(document, position, json))?.contents)
}

const errors = async (text: string): Promise<ReadonlyArray<string>> => {
  const { document, json } = at(text)
  const found = await service.doValidation(document, json, { comments: "ignore", trailingCommas: "ignore" })
  return found.map(({ message, range }) => `${range.start.line + 1}: ${message}`)
}

describe("the JSON Schema that is published", () => {
  it("is the one that the Schemas make; UPDATE_SCHEMA=1 writes it anew", () => {
    assert.isTrue(existsSync(published))
    assert.strictEqual(readFileSync(published, "utf8"), written)
  })

  it("completes keys, and values where they are a choice", async () => {
    assert.includeMembers([...(await completed(`{ | }`))], ["keepalive", "mcpServers", "servers", "context_servers"])
    const keys = await completed(`{ "mcpServers": { "a": { | } } }`)
    assert.includeMembers(
      [...keys],
      ["url", "command", "keepalive", "keepalive_interval", "keepalive_method", "envFile"]
    )
    assert.includeMembers([...(await completed(`{ "mcpServers": { "a": { "type": | } } }`))], ['"http"', '"stdio"'])
    assert.includeMembers(
      [...(await completed(`{ "mcpServers": { "a": { "keepalive_method": | } } }`))],
      ["ping", "tool:"]
    )
    assert.includeMembers([...(await completed(`{ "keepalive": { | } }`))], ["interval", "failureThreshold", "circuit"])
    assert.includeMembers([...(await completed(`{ "keepalive": { "interval": | } }`))], ["30 seconds"])
    assert.includeMembers([...(await completed(`{ "keepalive": { "circuit": | } }`))], ["none"])
    assert.includeMembers([...(await completed(`{ "servers": [ { "keepalive": { | } } ] }`))], ["interval", "probe"])
  })

  it("says what a key means, of every key", async () => {
    assert.include(
      await hover(`{ "mcpServers": { "a": { "keepalive_|interval": 30 } } }`),
      "Seconds between probes, 5 to 300"
    )
    assert.include(await hover(`{ "keepalive": { "stable|After": "1 second" } }`), "backoff and circuit start afresh")
    const schema = EditorSchema.make()
    const definitions = schema["definitions"] as Record<string, { properties: Record<string, unknown> }>
    for (const [name, { properties }] of Object.entries(definitions)) {
      for (const [key, value] of Object.entries(properties)) {
        assert.include(JSON.stringify(value), "markdownDescription", `${name}.${key}`)
      }
    }
  })

  it("finds a typo in keepalive, and what has the wrong type or breaks a bound", async () => {
    const found = await errors(`{ "keepalive": {
      "interval": "5 parsecs",
      "failureTreshold": 1 },
    "mcpServers": { "a": {
      "url": 3,
      "keepalive_interval": 3,
      "keepalive_method": "pong",
      "keepalive": { "intervall": "30 seconds", "timeout": 10 } } } }`)
    assert.deepStrictEqual(
      found.map((message) => message.slice(0, 1)),
      ["2", "3", "5", "6", "7", "8", "8"],
      found.join("\n")
    )
    assert.include(found[0], 'Expected a duration such as "30 seconds"')
    assert.include(found[1], "failureTreshold is not allowed")
  })

  it.each(readdirSync(files).filter((name) => name.endsWith(".json")))("has no word against %s", async (name) => {
    assert.deepStrictEqual(await errors(readFileSync(join(files, name), "utf8")), [])
  })
})
