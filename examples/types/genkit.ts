/** A kept connection is what Genkit takes for a transport. Compiled, not run. */
import type { McpServerConfig } from "@genkit-ai/mcp"
import type { Kept } from "@vmcp-keepalive/host"

export const mcpServer = (kept: Kept): McpServerConfig => ({ transport: kept })
