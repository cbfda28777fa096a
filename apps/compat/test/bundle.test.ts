/** An app and all that it needs in one file, as esbuild makes it without any setting of its own for us. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { build, type BuildOptions } from "esbuild"
import { mkdir } from "node:fs/promises"
import { join } from "node:path"
import { inject } from "vitest"
import { run, servers, well } from "./support.ts"

const { newest } = inject("folders")

/** Bundles a program into a folder that has no packages; its path, and what esbuild had to say. */
const bundle = (name: string, options: BuildOptions) =>
  Effect.promise(async () => {
    const outdir = join(newest, "..", "bundles", name)
    await mkdir(outdir, { recursive: true })
    const { warnings } = await build({
      entryPoints: [join(newest, "app.ts")],
      bundle: true,
      platform: "node",
      logLevel: "silent",
      outdir,
      outExtension: { ".js": options.format === "cjs" ? ".cjs" : ".mjs" },
      ...options
    })
    assert.deepStrictEqual(warnings, [])
    return join(outdir, options.format === "cjs" ? "app.cjs" : "app.mjs")
  })

describe("a bundle by esbuild", () => {
  const kinds: ReadonlyArray<readonly [string, BuildOptions]> = [
    ["an ES module", { format: "esm" }],
    ["a minified ES module in several files", { format: "esm", minify: true, splitting: true }]
  ]
  it.live.each(kinds)("as %s reaches its servers over both transports", ([name, options]) =>
    Effect.gen(function* () {
      const path = yield* bundle(name, options)
      const args = yield* servers(newest)
      const ended = yield* Effect.promise(() => run(process.execPath, [path, ...args], newest))
      assert.deepStrictEqual(ended, { code: 0, stdout: well, stderr: "" })
    })
  )
})
