/** LlamaIndex: a URL, with a `fetch` of one's own, for its client of SDK 1. */
import { mcp } from "@llamaindex/tools"
import { keptFetch } from "@vmcp-keepalive/host/fetch"
import { type Framework, text, Told } from "../support/framework.ts"

export const llamaindex: Framework = {
  name: "LlamaIndex",
  kept: async (options) => {
    const kept = keptFetch(options)
    const told = new Told()
    const client = mcp({ url: kept.url.href, fetch: told.seeing(kept.fetch) })
    const tools = await client.tools()
    return {
      call: async (name, args) => text(await tools.find(({ metadata }) => metadata.name === name)?.call(args)),
      told,
      close: async () => {
        await client.cleanup()
        await kept.close()
      }
    }
  },
  shows: "data",
  canCancel: false,
  canTimeOut: false
}
