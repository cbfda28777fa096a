/** The declarations of what is published, with the types that the lowest and the newest versions of the peers have. */
import { assert, describe, it } from "@effect/vitest"
import { fileURLToPath } from "node:url"
import { inject } from "vitest"
import { run } from "./support.ts"

const { lowest, newest } = inject("folders")

const compiler = fileURLToPath(new URL("../../../node_modules/typescript/bin/tsc", import.meta.url))

const types = fileURLToPath(new URL("../node_modules/@types", import.meta.url))

const strictest = "--noEmit --strict --exactOptionalPropertyTypes --target es2023 --module nodenext --types node".split(
  " "
)

describe("an app that imports every entry compiles", () => {
  const cases = [
    ["with the newest versions, all declarations included", newest, []],
    // Those of SDK 1.24 itself refer to a package that is not there.
    ["with the lowest versions", lowest, ["--skipLibCheck"]]
  ] as const

  it.each(cases)("%s", async (_, folder, options) => {
    const args = [compiler, ...strictest, ...options, "--typeRoots", types, "app.ts", "entries.ts"]
    const ended = await run(process.execPath, args, folder)
    assert.deepStrictEqual(ended, { code: 0, stdout: "", stderr: "" })
  })
})
