/**
 * Loaded into servers that others wrote (`node --import preload?log=file server`): appends a line to the file for each
 * tool call that the server's own MCP SDK hands to its handler. Synchronously, so that it survives SIGKILL.
 */
import { appendFileSync, realpathSync } from "node:fs"
import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

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
  // The instance that the server itself imports: resolved from its package, in the ESM build.
  const commonJs = createRequire(realpathSync(main)).resolve("@modelcontextprotocol/sdk/server/index.js")
  const { Server }: Sdk = await import(pathToFileURL(commonJs.replace("/dist/cjs/", "/dist/esm/")).href)
  const original = Server.prototype.setRequestHandler
  Server.prototype.setRequestHandler = function (schema, handler) {
    return original.call(this, schema, (request, extra) => {
      if (request.method === "tools/call")
        appendFileSync(log, `${JSON.stringify({ tool: request.params?.name, arguments: request.params?.arguments })}\n`)
      return handler(request, extra)
    })
  }
}
