/** A kept `fetch` is one that LlamaIndex takes. Compiled, not run. */
import type { MCPClientOptions } from "@llamaindex/tools"
import type { KeptFetch } from "@vmcp-keepalive/host/fetch"

export const options = ({ fetch, url }: KeptFetch): MCPClientOptions => ({ url: url.href, fetch })
