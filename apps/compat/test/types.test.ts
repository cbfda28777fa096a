/**
 * The declarations of what is published, with the types that the lowest and the newest versions of the peers have; and on them
 * every block of TypeScript in the documents, as it stands there: with imports of its own, under the settings of this repository.
 */
import { assert, describe, it } from "@effect/vitest"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { beforeAll, inject } from "vitest"
import { type Block, blocks, blocksBelow, place } from "./documents.ts"
import { compile } from "./support.ts"

const { lowest, newest } = inject("folders")

/** The README's whole app is compiled where what it says was installed, and nothing else. */
const [wholeApp] = blocksBelow("## A whole app").filter(({ language }) => language === "ts")

const typeScript = blocks.filter((block) => block.language === "ts" && block !== wholeApp)

/** `@effect/opentelemetry` takes OpenTelemetry 2 and not 3. */
const needsOpenTelemetry2 = ({ code }: Block) => code.includes('"@vmcp-keepalive/otel/KeepaliveProducer"')

const pathOf = (block: Block) => `documents/${place(block).replace(":", "/")}.ts`

/** Writes blocks where the compiler finds the packages, on the lines that they have in their documents. */
const paste = (folder: string, blocks: ReadonlyArray<Block>) =>
  Promise.all(
    blocks.map(async (block) => {
      const path = join(folder, pathOf(block))
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, "\n".repeat(block.line - 1) + block.code)
    })
  )

describe.each([
  ["newest", newest, typeScript.filter((block) => !needsOpenTelemetry2(block)), { skipLibCheck: false }],
  // The declarations of SDK 1.24 itself refer to a package that is not there.
  ["lowest", lowest, typeScript.filter(needsOpenTelemetry2), { skipLibCheck: true }]
] as const)("with the %s versions, under the strictest settings", (_, folder, shown, settings) => {
  let found: ReadonlyArray<string> = []
  beforeAll(async () => {
    await paste(folder, shown)
    found = await compile(folder, ["app.ts", "entries.ts", ...shown.map(pathOf)], settings)
  })

  it("an app that imports every entry compiles", () => {
    assert.deepStrictEqual(
      found.filter((line) => !line.startsWith("documents/")),
      []
    )
  })

  it(`what the documents show compiles: ${shown.length} blocks`, () => {
    assert.isNotEmpty(shown)
    assert.deepStrictEqual(
      found.filter((line) => line.startsWith("documents/")),
      []
    )
  })
})
