/** A kept connection is what TanStack AI takes for a transport. Compiled, not run. */
import { createMCPClient, type MCPClientOptions } from "@tanstack/ai-mcp"
import type { Kept } from "@vmcp-keepalive/host"

export const options = (kept: Kept): MCPClientOptions => ({ transport: kept })
export const connect = (kept: Kept): ReturnType<typeof createMCPClient> => createMCPClient(options(kept))
