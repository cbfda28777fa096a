/**
 * A kept connection for frameworks that take nothing but a URL: the endpoint of a {@link KeptFetch} on a port of this machine.
 */
import { BackendError } from "@vmcp-keepalive/core"
import { randomBytes } from "node:crypto"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import * as NodeListener from "./internal/fetch/nodeListener.ts"
import { refusal } from "./internal/loopback/guard.ts"
import type { KeptFetch } from "./KeptFetch.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What {@link listen} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /** The address, which none but this machine reaches. Default: 127.0.0.1 */
  readonly host?: "127.0.0.1" | "::1" | undefined
  /** Default: one that is free */
  readonly port?: number | undefined
}

/**
 * A port that is open.
 *
 * @since 0.1.0
 */
export interface Listening {
  /**
   * What to hand in as the URL. Its path cannot be guessed, and whoever knows it can use the connection: keep it out of logs. Another
   * one each time.
   */
  readonly url: URL
  /** Closes the port and cuts what is open on it, whose requests are cancelled. The endpoint remains. */
  readonly close: () => Promise<void>
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * Opens a port for an endpoint (`await listen(keptFetch({ … }))`). Requests that name another host, or come from a page in a browser,
 * are refused. Rejects with a `ConfigurationError` where a setting is wrong, and with Node's error where the port cannot be opened.
 *
 * @since 0.1.0
 */
export const listen = async (kept: KeptFetch, options: Options = {}): Promise<Listening> => {
  const { host = "127.0.0.1", port: wanted = 0 } = options
  const issues = issuesOf(host, wanted)
  if (issues.length > 0) throw new BackendError.ConfigurationError({ backend: kept.id, issues })
  const path = `/${randomBytes(24).toString("base64url")}`
  const { end, listener } = NodeListener.make(kept.answer)
  let port = 0
  const server = createServer((request, response) => {
    const refused = refusal(request, { path, port })
    if (refused === undefined) listener(request, response)
    else NodeListener.refuse(response, refused)
  })
  server.maxConnections = maxConnections
  server.listen(wanted, host)
  await once(server, "listening")
  port = (server.address() as AddressInfo).port
  let closing: Promise<unknown> | undefined
  return {
    url: new URL(`http://${host === "::1" ? "[::1]" : host}:${port}${path}`),
    close: async () => {
      if (closing === undefined) {
        closing = once(server, "close")
        end()
        server.close()
        server.closeAllConnections()
      }
      await closing
    }
  }
}

// ----------------------------------------------------------------------------------------------------------- internal

/** Whoever can open sockets here could otherwise take all of this process's descriptors. A call takes one while it lasts. */
const maxConnections = 1024

const issuesOf = (host: string, port: number): ReadonlyArray<BackendError.ConfigurationIssue> => [
  ...(["127.0.0.1", "::1"].includes(host) ? [] : [{ path: ["host"], expected: `"127.0.0.1" or "::1"` }]),
  ...(Number.isInteger(port) && port >= 0 && port <= 65_535
    ? []
    : [{ path: ["port"], expected: "a whole number from 0 to 65,535" }])
]
