/**
 * Loaded into servers that others wrote (`node --import=preload?log=file server`): appends a line to the file when the
 * server starts and for each tool call that its own MCP SDK hands to its handler.
 */
import { appendFileSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"
import type { Entry } from "../internal/executionLog.ts"

interface ToolCall {
  readonly method: string
  readonly params?: { readonly name: string; readonly arguments?: unknown }
}
type Handler = (request: ToolCall, extra: unknown) => unknown
interface Sdk {
  readonly Server: { readonly prototype: { setRequestHandler: (schema: unknown, handler: Handler) => void } }
}

const log = new URL(import.meta.url).searchParams.get("log")
const main = process.argv[1]
if (log !== null && main !== undefined) {
  const record = (entry: Entry) => appendFileSync(log, `${JSON.stringify(entry)}\n`)
  record({ started: process.pid })
  // The instance that the server itself imports: resolved from its package, in the ESM build.
  const commonJs = createRequire(realpathSync(main)).resolve("@modelcontextprotocol/sdk/server/index.js")
  const { Server }: Sdk = await import(pathToFileURL(commonJs.replace("/dist/cjs/", "/dist/esm/")).href)
  const original = Server.prototype.setRequestHandler
  Server.prototype.setRequestHandler = function (schema, handler) {
    return original.call(this, schema, (request, extra) => {
      if (request.method === "tools/call")
        record({ tool: request.params?.name ?? "", arguments: request.params?.arguments })
      return handler(request, extra)
    })
  }
}
