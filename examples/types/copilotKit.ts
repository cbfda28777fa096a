/**
 * CopilotKit's `BuiltInAgent({ mcpClients })` takes clients of the AI SDK, in structure: what is kept is the transport below.
 * Written down from `@copilotkit/runtime` 1.75.0, which weighs 280 MB. Compiled, not run; its client is run as that of the AI SDK.
 */
import { createMCPClient } from "@ai-sdk/mcp"
import type { Kept } from "@vmcp-keepalive/host"

interface MCPClientProvider {
  tools(): Promise<Record<string, object>>
}

export const mcpClients = async (kept: Kept): Promise<Array<MCPClientProvider>> => [
  await createMCPClient({ transport: kept })
]
