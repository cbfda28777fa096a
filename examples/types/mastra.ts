/** A kept `fetch` is one that Mastra takes. Compiled, not run. */
import type { MastraMCPServerDefinition } from "@mastra/mcp"
import type { KeptFetch } from "@vmcp-keepalive/host/fetch"

export const server = ({ fetch, url }: KeptFetch): MastraMCPServerDefinition => ({ url, fetch })
