/** The app on runtimes other than Node, as npm installs it. Its servers run on Node. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { existsSync, realpathSync, readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { dirname, join } from "node:path"
import { inject } from "vitest"
import { run, servers, well } from "./support.ts"

const { newest } = inject("folders")

/** The executable that npm brings in a package of its own for each platform; what the main one does after its installation is not needed. */
const executable = (name: "bun" | "deno", paths: ReadonlyArray<string>): string => {
  const main = realpathSync(new URL(`../node_modules/${name}/package.json`, import.meta.url))
  const { optionalDependencies }: { readonly optionalDependencies: object } = JSON.parse(readFileSync(main, "utf8"))
  const { resolve } = createRequire(main)
  for (const platform of Object.keys(optionalDependencies)) {
    try {
      const folder = dirname(resolve(`${platform}/package.json`))
      const found = paths.map((path) => join(folder, path)).find(existsSync)
      if (found !== undefined) return found
    } catch {
      // It is not for this platform.
    }
  }
  throw new Error(`${name} is not installed for this platform`)
}

describe.each([
  ["Bun", executable("bun", ["bin/bun", "bin/bun.exe"]), []],
  ["Deno", executable("deno", ["deno", "deno.exe"]), ["run", "--quiet", "--no-lock", "--allow-all"]]
] as const)("on %s an app", (_, command, options) => {
  it.live("calls its servers over both transports, replaces their sessions, and ends", () =>
    Effect.gen(function* () {
      const args = yield* servers(newest)
      const ended = yield* Effect.promise(() => run(command, [...options, "app.ts", ...args], newest))
      assert.deepStrictEqual(ended, { code: 0, stdout: well, stderr: "" })
    })
  )
})
