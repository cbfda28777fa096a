/**
 * Frameworks that take a URL and nothing else, such as VoltAgent (2.10.0: `MCPConfiguration`, a client of SDK 1; at 220 MB it is not
 * installed here): the connection on a port of the loopback.
 */
import { keptFetch } from "@vmcp-keepalive/host/fetch"
import { listen } from "@vmcp-keepalive/host/loopback"
import { type Framework, text } from "../support/framework.ts"
import * as Sdk1 from "./sdk1.ts"

export const urlOnly: Framework = {
  name: "URL only",
  kept: async (options) => {
    const kept = keptFetch(options)
    const listening = await listen(kept)
    const transport = Sdk1.bareTransport({ kind: "http", url: listening.url.href })
    const { client, told } = await Sdk1.connect(transport)
    return {
      call: async (name, args, options) =>
        text(await client.callTool({ name, arguments: { ...args } }, undefined, options)),
      told,
      close: async () => {
        await client.close()
        await listening.close()
        await kept.close()
      }
    }
  },
  shows: "data",
  canTimeOut: true
}
