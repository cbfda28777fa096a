/**
 * Arguments of tools that a client of MCP 2026-07-28 says in a header as well (`x-mcp-header`), so that what stands between need not read
 * bodies. Whoever reads the body compares the two: the SDK does it, and has to be told the schemas.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { McpServer } from "@modelcontextprotocol/server"
import { Recent } from "../host/recent.ts"

/** So many tools have their schemas remembered. */
const most = 10_000

type Schema = Record<string, unknown>

/** The schemas of tools that were listed to any client: before it has read one, a client does not know what it has to say in a header. */
export class Declared {
  readonly #schemas = new Recent<string, Schema | undefined>(most)

  of(name: string): Schema | undefined {
    return this.#schemas.get(name)
  }

  /** The result of `tools/list`. */
  listed({ tools }: Message.Result): void {
    if (!Array.isArray(tools)) return
    for (const { inputSchema, name } of tools) {
      const declares = JSON.stringify(inputSchema ?? null).includes('"x-mcp-header"')
      // one that no longer declares any is forgotten
      if (declares || this.of(name) !== undefined) this.#schemas.set(name, declares ? inputSchema : undefined)
    }
  }
}

/** A server whose tools are those. It answers nothing of itself. */
export class Declaring extends McpServer {
  readonly #declared: Declared

  constructor(declared: Declared, ...[info, options]: ConstructorParameters<typeof McpServer>) {
    super(info, options)
    this.#declared = declared
  }

  override toolInputSchemaJson(name: string): Schema | undefined {
    return this.#declared.of(name)
  }
}
