/** What the guides show, run where npm installed what they import. */
import { assert, describe, it } from "@effect/vitest"
import { McpServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { mkdir, readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { inject } from "vitest"
import { blocks } from "./documents.ts"
import { run } from "./support.ts"

const { newest } = inject("folders")

const shownIn = (guide: string) =>
  blocks.filter(({ document, language }) => document === `docs/guides/${guide}.md` && language === "ts")

describe("what the guide shows", () => {
  it("to testing an app passes", async () => {
    const folder = join(newest, "guides", "testing")
    await mkdir(folder, { recursive: true })
    const shown = shownIn("testing")
    for (const { code, line } of shown) await writeFile(join(folder, `line${line}.test.ts`), code)
    const vitest = join(newest, "node_modules/vitest/vitest.mjs")
    const report = join(folder, "report.json")
    const args = [vitest, "run", "--root", folder, "--reporter=json", `--outputFile.json=${report}`]
    const { code, stderr } = await run(process.execPath, args, newest)
    assert.strictEqual(code, 0, stderr)
    const results: unknown = JSON.parse(await readFile(report, "utf8"))
    const tests = shown.flatMap(({ code }) => code.match(/^it\.effect\(/gm) ?? []).length
    assert.deepInclude(results, { numPassedTests: tests, numFailedTests: 0, numTotalTests: tests, success: true })
    assert.isAbove(tests, 0)
  })

  it.live("without Effect keeps a server alive and ends", () =>
    Effect.gen(function* () {
      const [example] = shownIn("without-effect")
      assert.isDefined(example)
      const server = yield* McpServers.everything
      const code = example.code.replace("http://127.0.0.1:3001/mcp", server.url)
      assert.notStrictEqual(code, example.code)
      yield* Effect.promise(() => writeFile(join(newest, "withoutEffect.ts"), code))
      const ended = yield* Effect.promise(() => run(process.execPath, ["withoutEffect.ts"], newest))
      assert.strictEqual(ended.stderr, "")
      assert.match(ended.stdout, /Echo: hi.*Connected/s)
      assert.strictEqual(ended.code, 0)
    })
  )
})
