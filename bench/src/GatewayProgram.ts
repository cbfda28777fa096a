/** The gateway as its users run it: the built program, on a file and a state folder of its own. */
import { Effect } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { fileURLToPath } from "node:url"
import * as Started from "./Started.ts"

/** What stands in the file. */
export interface File {
  readonly mcpServers: Readonly<Record<string, object>>
  readonly keepalive?: object
}

/** Where one is reached. */
export interface Addresses {
  /** MCP */
  readonly mcp: string
  readonly page: string
}

const bin = join(dirname(fileURLToPath(import.meta.resolve("vmcp-keepalive/package.json"))), "dist/bin.js")

/** Serves that file, over HTTP on a port that was free, until the scope closes. */
export const serve = Effect.fnUntraced(function* (file: File, options?: Started.Options) {
  const folder = yield* Effect.acquireRelease(
    Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-bench-"))),
    (path) => Effect.sync(() => rmSync(path, { recursive: true, force: true }))
  )
  const config = join(folder, "mcp.json")
  writeFileSync(config, JSON.stringify(file))
  const args = ["serve", "--config", config, "--state", join(folder, "state"), "--port", "0", "--json"]
  return yield* Started.start<Addresses>(bin, args, options)
})
