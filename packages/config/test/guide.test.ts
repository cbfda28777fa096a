import { EditorSchema } from "@vmcp-keepalive/config"
import { Result } from "effect"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "vitest"
import { parse } from "./support.ts"

const guide = readFileSync(new URL("../../../docs/guides/configuration.md", import.meta.url), "utf8")

describe("the guide to the configuration file", () => {
  it("has every key of the schema", () => {
    const schema = EditorSchema.make() as {
      properties: Record<string, unknown>
      definitions: Record<string, { properties: Record<string, unknown> }>
    }
    const keys = [schema, ...Object.values(schema.definitions)].flatMap(({ properties }) => Object.keys(properties))
    assert.isAbove(keys.length, 40)
    assert.deepStrictEqual(
      keys.filter((key) => !guide.includes(`\`${key}\``)),
      []
    )
  })

  it("begins with a file that is right", async () => {
    const example = /```json\n([^]*?)```/.exec(guide)?.[1] ?? ""
    const read = await parse(example)
    assert(Result.isSuccess(read))
    assert.deepStrictEqual(
      read.success.specs.map(({ id, settings }) => `${id} ${settings.kind}`),
      ["github http", "browser stdio"]
    )
  })
})
