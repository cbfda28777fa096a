/**
 * Connects to MCP servers over Streamable HTTP, with the client and the transport of `@modelcontextprotocol/sdk` 1.x.
 *
 * The transport's `fetch` is guarded, so that what the SDK leaves open is settled: a call whose answer stream breaks is
 * resumed or fails at once, requests that nobody awaits free their sockets, the standing stream comes back after any
 * outage, and statuses are told instead of hidden.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { FetchLike } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { BackendError, Connector } from "@vmcp-keepalive/core"
import { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import { Farewells } from "./internal/farewell.ts"
import * as FetchFromHttpClient from "./internal/fetchFromHttpClient.ts"
import * as Headers from "./internal/headers.ts"
import * as Session from "./internal/session.ts"

/** What {@link make} takes. */
export interface Options<E = never, R = never> {
  /** The MCP endpoint, `http:` or `https:`, without user name and password: those belong into `headers`. */
  readonly url: string | URL
  /**
   * Sent with every request to the endpoint, and to no other origin. An effect is evaluated for every session and again
   * when the server rejects the credentials; if it fails, so does the attempt, with reason `auth`. The protocol's own
   * headers (`accept`, `content-type`, `last-event-id`, `mcp-*`) cannot be set.
   */
  readonly headers?: Headers.HeaderSource<E, R>
  /**
   * Makes the client of a session; a fresh one each time, because a client that failed to connect cannot be used again.
   * Capabilities and handlers (sampling, elicitation, roots, list changes) have to be registered here, before it
   * connects. Default: a client without either.
   */
  readonly client?: () => Client
  /** OAuth, as the SDK does it. Its requests go out through `fetch`, without `headers`. */
  readonly authProvider?: OAuthClientProvider
  /**
   * `headers` for every request, and `redirect: "error"` where not even redirects within the origin are to be followed. What
   * else `fetch` knows goes to the `fetch` that is given, or to Node's global one where there is a `dispatcher` among it; the
   * session's own connections know no more.
   */
  readonly requestInit?: RequestInit
  /**
   * Sends every request. Default: connections of the session's own, which end with it. A `fetch` given here decides
   * itself what becomes of idle connections (Node's global one keeps them for 4 s and gives up an answer that is
   * silent for 5 minutes).
   */
  readonly fetch?: FetchLike
}

/** A connector for the server at `url`. Settings that cannot work are in its `issues`; nothing is sent. */
export const make = <E = never, R = never>(options: Options<E, R>): Connector.Connector<Client, R> => {
  const endpoint = parseUrl(options.url)
  const farewells = new Farewells()
  return {
    kind: "http",
    exclusive: false,
    connectTimeout: "30 seconds",
    supportsOptions: true,
    issues: Effect.succeed([
      ...(endpoint === undefined ? [urlIssue] : []),
      ...(options.headers === undefined || Effect.isEffect(options.headers) ? [] : Headers.issues(options.headers))
    ]),
    open: (host) =>
      endpoint === undefined
        ? Effect.fail(Evidence.transportFailure("unknown"))
        : Session.open<E, R>(
            {
              endpoint,
              headers: options.headers ?? {},
              client: options.client ?? defaultClient,
              authProvider: options.authProvider,
              requestInit: options.requestInit,
              fetch: options.fetch,
              farewells
            },
            host
          )
  }
}

/** A `fetch` that sends through Effect's `HttpClient`: for `fetch` in {@link Options}. */
export const fetchFromHttpClient: Effect.Effect<FetchLike, never, HttpClient.HttpClient> = FetchFromHttpClient.make

const defaultClient = () => new Client({ name: "vmcp-keepalive", version: "0.1.0" })

const urlIssue: BackendError.ConfigurationIssue = {
  path: ["connector", "url"],
  expected: "an absolute http: or https: URL without user name and password (credentials belong into headers)"
}

const parseUrl = (url: string | URL): URL | undefined => {
  const parsed = URL.parse(String(url))
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) return undefined
  if (parsed.username !== "" || parsed.password !== "") return undefined
  parsed.hash = ""
  return parsed
}
