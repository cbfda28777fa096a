/**
 * Sending through a proxy, with connections of the session's own.
 */
// By its file: under the bare name Bun has an undici of its own, which sends nothing.
import { EnvHttpProxyAgent, ProxyAgent } from "undici/index.js"
import type { Tls } from "./connections.ts"
import * as Dispatcher from "./dispatcher.ts"
import type { Sender } from "./sender.ts"

/**
 * `"environment"` reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in capitals or not. `tls` is of the connection to the server.
 */
export const make = (proxy: "environment" | (string & {}), tls: Tls = {}): Sender => {
  const options = { requestTls: tls, headersTimeout: 0, bodyTimeout: 0, allowH2: false }
  const agent =
    proxy === "environment"
      ? new EnvHttpProxyAgent({ ...options, connect: tls })
      : new ProxyAgent({ ...options, uri: proxy })
  return {
    ...Dispatcher.make(agent),
    close: () => void agent.destroy().catch(() => {})
  }
}
