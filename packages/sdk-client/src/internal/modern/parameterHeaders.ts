/**
 * Arguments of tools that are said in a header as well (MCP 2026-07-28, `x-mcp-header` in a tool's schema), which servers compare with
 * the body.
 */
import * as Message from "../../Message.ts"

/** So many tools with such arguments have them remembered: those that were listed last. */
const mostTools = 1000
/** So many of one tool's arguments are said in headers. */
const mostHeaders = 64
/** So deep in the schema they are looked for. */
const mostDepth = 16

interface Declaration {
  readonly path: ReadonlyArray<string>
  readonly header: string
}

type Headers = Readonly<Record<string, string>>

/** See the module. One for each session. */
export class ParameterHeaders {
  readonly #tools = new Map<string, ReadonlyArray<Declaration>>()

  /** The result of `tools/list`, one page of it. */
  listed({ tools }: Message.Result): void {
    if (!Array.isArray(tools)) return
    for (const tool of tools) {
      if (!Message.isObject(tool) || typeof tool["name"] !== "string") continue
      const { inputSchema, name } = tool
      this.#tools.delete(name)
      const found: Array<Declaration> = []
      collect(inputSchema, [], found)
      if (found.length > 0) this.#tools.set(name, found)
    }
    for (const oldest of this.#tools.keys()) {
      if (this.#tools.size <= mostTools) break
      this.#tools.delete(oldest)
    }
  }

  /** Those of a call; `undefined` where there are none. */
  of(params: Message.Params | undefined): Headers | undefined {
    const name = params?.["name"]
    const declared = typeof name === "string" ? this.#tools.get(name) : undefined
    if (declared === undefined) return undefined
    const headers: Record<string, string> = {}
    for (const { header, path } of declared) {
      const text = textOf(valueAt(params?.["arguments"], path))
      if (text !== undefined) headers[`mcp-param-${header}`] = Message.headerValue(text)
    }
    return headers
  }
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/

/** They can be reached through `properties` alone. */
const collect = (schema: unknown, path: ReadonlyArray<string>, found: Array<Declaration>): void => {
  if (!Message.isObject(schema) || path.length > mostDepth) return
  const header = schema["x-mcp-header"]
  if (path.length > 0 && typeof header === "string" && token.test(header) && found.length < mostHeaders)
    found.push({ path, header: header.toLowerCase() })
  if (!Message.isObject(schema["properties"])) return
  for (const [name, property] of Object.entries(schema["properties"])) collect(property, [...path, name], found)
}

const valueAt = (value: unknown, path: ReadonlyArray<string>): unknown =>
  path.reduce<unknown>((at, name) => (Message.isObject(at) ? at[name] : undefined), value)

const textOf = (value: unknown): string | undefined => {
  if (typeof value === "string" || typeof value === "boolean") return String(value)
  const isSayable = typeof value === "number" && Number.isFinite(value)
  return isSayable && (!Number.isInteger(value) || Number.isSafeInteger(value)) ? String(value) : undefined
}
