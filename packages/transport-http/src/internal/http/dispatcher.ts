/**
 * Sending through a dispatcher of undici's: the user's own, or one for the proxies of the environment.
 */
import { EnvHttpProxyAgent, ProxyAgent } from "undici"
import type { Tls } from "./connections.ts"
import { dispatch, type Dispatcher } from "./dispatch.ts"
import type { Sender } from "./sender.ts"

/** The user's: its connections are its own, so that closing the session ends only what is under way. */
export const ofUser = (dispatcher: Dispatcher): Sender => ({
  send: (request, receiver) => dispatch(dispatcher, request, receiver),
  close: () => {}
})

/**
 * Through a proxy, with connections of the session's own. `"environment"` reads `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in
 * capitals or not. `tls` is of the connection to the server.
 */
export const ofProxy = (proxy: "environment" | (string & {}), tls: Tls = {}): Sender => {
  const options = { requestTls: tls, headersTimeout: 0, bodyTimeout: 0, allowH2: false }
  const agent =
    proxy === "environment"
      ? new EnvHttpProxyAgent({ ...options, connect: tls })
      : new ProxyAgent({ ...options, uri: proxy })
  return {
    send: (request, receiver) => dispatch(agent, request, receiver),
    close: () => void agent.destroy().catch(() => {})
  }
}
