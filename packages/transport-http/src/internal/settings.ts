/**
 * What a connector is given, whatever its client: checked at once, and turned into what a session is opened with.
 */
import type { BackendError, Connector } from "@vmcp-keepalive/core"
import { Evidence } from "@vmcp-keepalive/core"
import { type ClientKind, Limits } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type { Tls } from "./http/connections.ts"
import type { Dispatcher } from "./http/dispatch.ts"
import * as DispatcherSender from "./http/dispatcher.ts"
import * as FetchSender from "./http/fetch.ts"
import * as Loading from "./http/loading.ts"
import type { Sender } from "./http/sender.ts"
import type { Authorization } from "./session/authorization.ts"
import * as Headers from "./session/headers.ts"
import * as HttpLimits from "./session/limits.ts"
import * as Session from "./session/session.ts"
import { SessionTermination } from "./session/sessionTermination.ts"
import type { Wire } from "./session/wire.ts"

/** What every connector over HTTP takes. */
export interface Options<E = never, R = never> {
  /** The MCP endpoint, `http:` or `https:`, without user name and password: those belong into `headers`. */
  readonly url: string | URL
  /**
   * Sent with every request to the endpoint, and to no other origin. An effect is evaluated for every session and again
   * when the server rejects the credentials; if it fails, so does the attempt, with reason `auth`. The protocol's own
   * headers (`accept`, `content-type`, `last-event-id`, `mcp-*`) and those of the connection cannot be set.
   */
  readonly headers?: Headers.HeaderSource<E, R> | undefined
  /**
   * How TLS connections are made: `ca` (certificates to trust instead of Node's), `cert` and `key` (of this client),
   * `rejectUnauthorized` (default: true), `servername`; as Node's `tls.connect` takes them.
   */
  readonly tls?: Tls | undefined
  /**
   * A proxy by its URL; `"environment"` for what `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY` say; `"none"`. Default:
   * `"environment"` where `NODE_USE_ENV_PROXY` is 1, as for Node itself, else `"none"`.
   */
  readonly proxy?: "environment" | "none" | (string & {}) | undefined
  /**
   * Any dispatcher of undici, also of another version than this package's: sends every request. Its connections are its own, and
   * whether it sends a request twice (`RetryAgent`) is its matter. Excludes `tls`, `proxy` and `fetch`.
   */
  readonly dispatcher?: Dispatcher | undefined
  /**
   * Sends every request. Default: connections of the session's own, which end with it. A `fetch` given here decides
   * itself what becomes of idle connections (Node's global one keeps them for 4 s and gives up an answer that is
   * silent for 5 minutes), and does not tell whether a request left that failed: what it cannot prove unsent counts as sent.
   * Excludes `tls` and `proxy`.
   */
  readonly fetch?: FetchSender.Fetch | undefined
  /**
   * `headers` for every request, to the endpoint only. What else `fetch` knows goes to the `fetch` that is given; a `dispatcher` in
   * it is taken as {@link Options.dispatcher}.
   */
  readonly requestInit?: (RequestInit & { readonly dispatcher?: unknown }) | undefined
  /** How much the server may make this process hold or do. Each limit has a default: see "Limits" in the README. */
  readonly limits?: Limits.Options<HttpLimits.HttpLimits> | undefined
}

/** What differs between the kinds of clients. */
export interface Kind<Client> {
  readonly kind: ClientKind.ClientKind<Client>
  readonly authorization?: ((endpoint: URL) => Authorization) | undefined
  readonly prepare?: ((wire: Wire) => void) | undefined
}

/** A connector for the server at `url`. Settings that cannot work are in its `issues`; nothing is sent. */
export const connector = <Client, E, R>(
  options: Options<E, R>,
  { authorization, kind, prepare }: Kind<Client>
): Connector.Connector<Client, R> => {
  const endpoint = parseUrl(options.url)
  const issues = issuesOf(options, endpoint)
  const limits = once(() => Limits.resolve(options.limits ?? {}, HttpLimits.defaults))
  let senders: (() => Sender) | undefined
  // One for all sessions, also of two that are opened at once: it remembers TLS sessions.
  const loaded = Effect.suspend(() =>
    senders === undefined
      ? Effect.map(sendersOf(options, limits().connections), (made) => (senders ??= made))
      : Effect.succeed(senders)
  )
  const fixedHeaders = once(() => Headers.sendable(new globalThis.Headers(options.requestInit?.headers)))
  const termination = new SessionTermination()
  return {
    kind: "http",
    exclusive: false,
    connectTimeout: "30 seconds",
    supportsOptions: true,
    origin: endpoint && { key: endpoint.origin },
    issues: Effect.map(kind.issues, (others) => [...issues, ...others]),
    open: (host) =>
      endpoint === undefined || issues.length > 0
        ? Effect.fail(Evidence.transportFailure("unknown"))
        : Effect.flatMap(loaded, (sender) =>
            Session.open<Client, E, R>(
              {
                endpoint,
                kind,
                headers: options.headers ?? {},
                fixedHeaders: fixedHeaders(),
                sender,
                limits: limits(),
                authorization: authorization === undefined ? undefined : () => authorization(endpoint),
                prepare,
                termination
              },
              host
            )
          )
  }
}

/** Made when the first session is opened: settings that are wrong are reported before that. */
const once = <A extends object>(make: () => A): (() => A) => {
  let made: A | undefined
  return () => (made ??= make())
}

const dispatcherOf = ({ dispatcher, requestInit }: Options<unknown, unknown>): Dispatcher | undefined =>
  dispatcher ?? (isDispatcher(requestInit?.dispatcher) ? requestInit.dispatcher : undefined)

const isDispatcher = (value: unknown): value is Dispatcher =>
  typeof value === "object" && value !== null && "dispatch" in value && typeof value.dispatch === "function"

/** What makes the sender of each session. */
const sendersOf = (
  options: Options<unknown, unknown>,
  connections: number
): Effect.Effect<() => Sender, Evidence.Evidence> => {
  const { fetch, requestInit, tls } = options
  if (fetch !== undefined) return Effect.succeed(() => FetchSender.make(fetch, requestInit))
  const dispatcher = dispatcherOf(options)
  if (dispatcher !== undefined) return Effect.succeed(() => DispatcherSender.make(dispatcher))
  const proxy = options.proxy ?? (process.env["NODE_USE_ENV_PROXY"] === "1" ? "environment" : "none")
  return proxy === "none"
    ? Effect.map(Loading.connections, (module) => module.factory(connections, tls))
    : Effect.map(Loading.proxy, (module) => () => module.make(proxy, tls))
}

// ------------------------------------------------------------------------------------------------------------- issues

const issuesOf = (
  options: Options<unknown, unknown>,
  endpoint: URL | undefined
): ReadonlyArray<BackendError.ConfigurationIssue> => {
  const { dispatcher, fetch, headers, limits, proxy, tls } = options
  const own = fetch === undefined ? (dispatcher === undefined ? undefined : "dispatcher") : "fetch"
  const excluded =
    own === undefined ? [] : Object.entries({ tls, proxy, ...(own === "dispatcher" ? {} : { dispatcher }) })
  return [
    ...(endpoint === undefined ? [urlIssue] : []),
    ...(headers === undefined || Effect.isEffect(headers) ? [] : Headers.issues(headers)),
    ...(dispatcher === undefined || isDispatcher(dispatcher) ? [] : [dispatcherIssue]),
    ...(proxy === undefined || proxy === "environment" || proxy === "none" || isProxy(proxy) ? [] : [proxyIssue]),
    ...excluded.flatMap(([name, value]) =>
      value === undefined
        ? []
        : [{ path: ["connector", name], expected: `nothing, where \`${own}\` sends the requests` }]
    ),
    ...Limits.issues(limits ?? {}, HttpLimits.ranges)
  ]
}

const urlIssue: BackendError.ConfigurationIssue = {
  path: ["connector", "url"],
  expected: "an absolute http: or https: URL without user name and password (credentials belong into headers)"
}
const dispatcherIssue = { path: ["connector", "dispatcher"], expected: "a dispatcher of undici" }
const proxyIssue = {
  path: ["connector", "proxy"],
  expected: '"environment", "none", or an absolute http: or https: URL of a proxy'
}

const isProxy = (url: string): boolean => {
  const parsed = URL.parse(url)
  return parsed !== null && (parsed.protocol === "http:" || parsed.protocol === "https:")
}

const parseUrl = (url: string | URL): URL | undefined => {
  const parsed = URL.parse(String(url))
  if (parsed === null || (parsed.protocol !== "http:" && parsed.protocol !== "https:")) return undefined
  if (parsed.username !== "" || parsed.password !== "") return undefined
  parsed.hash = ""
  return parsed
}
