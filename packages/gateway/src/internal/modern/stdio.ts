/**
 * MCP 2026-07-28 over standard input and output: the same as over HTTP, with messages of one host.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { JSONRPCMessage, Server, Transport } from "@modelcontextprotocol/server"
import { serveStdio } from "@modelcontextprotocol/server/stdio"
import { Connections, type Options as ConnectionsOptions } from "./connections.ts"
import { Declared } from "./declared.ts"
import { serverOf, subscriptionsOf } from "./server.ts"
import { urisOf } from "./subscriptions.ts"

/** What it is made of. */
export interface Options extends Pick<ConnectionsOptions, "open"> {
  /** Takes a message to the host. */
  readonly send: (message: JSONRPCMessage) => void
}

/** See the module. */
export interface Stdio {
  /** A message of the host's. */
  readonly take: (message: Message.Message) => void
  readonly close: () => Promise<void>
}

/** How many subscriptions a host may have, as the SDK has it. */
const most = 1024

export const make = ({ open, send }: Options): Stdio => {
  let server: Server | undefined
  const connections = new Connections({
    open,
    // to the subscriptions that have named it
    onNotification: ({ method, params }) => {
      if (/^notifications\/(tools|prompts|resources)\//.test(method)) {
        server?.notification(params === undefined ? { method } : { method, params }).catch(() => {})
      }
    }
  })
  const transport: Transport = {
    start: () => Promise.resolve(),
    send: (message) => Promise.resolve(send(message)),
    close: () => Promise.resolve()
  }
  const factory = async () => {
    const product = await serverOf({ connections, declared: new Declared() })
    server = product.server
    return product
  }
  // the other era is answered before this
  const { close } = serveStdio(factory, { transport, legacy: "reject", maxSubscriptions: most })
  const subscriptions = subscriptionsOf(connections)
  const listening = new Map<Message.Id, () => void>()
  const ended = (id: Message.Id | undefined) => {
    if (id === undefined) return
    listening.get(id)?.()
    listening.delete(id)
  }
  return {
    take: (message) => {
      if (Message.isRequest(message) && message.method === "subscriptions/listen") {
        ended(message.id)
        if (listening.size < most) listening.set(message.id, subscriptions.begin(urisOf(message)))
      } else if ("method" in message && !Message.isRequest(message)) ended(Message.cancelled(message))
      transport.onmessage?.(message as JSONRPCMessage)
    },
    close: async () => {
      await close()
      await connections.close()
    }
  }
}
