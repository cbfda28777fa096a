/**
 * Connects to MCP servers over Streamable HTTP, with the client of `@modelcontextprotocol/sdk` 1.x on a wire of our own.
 *
 * Between a message and its socket there is nothing that does not know what became of it: a call whose answer stream breaks is
 * resumed or fails at once, requests that nobody awaits free their sockets, the standing stream comes back after any outage,
 * statuses are told instead of hidden, and what was not proven unsent is never sent twice.
 */
import type { OAuthClientProvider } from "@modelcontextprotocol/sdk/client/auth.js"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Connector } from "@vmcp-keepalive/core"
import { CallView } from "@vmcp-keepalive/sdk-client"
import type * as Effect from "effect/Effect"
import type * as HttpClient from "effect/http/HttpClient"
import type { Fetch } from "./internal/http/fetch.ts"
import * as FetchFromHttpClient from "./internal/http/fetchFromHttpClient.ts"
import * as OAuth from "./internal/sdk1/oauth.ts"
import * as SdkTransport from "./internal/session/sdkTransport.ts"
import * as Settings from "./internal/settings.ts"

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options<E = never, R = never> extends Settings.Options<E, R> {
  /**
   * Makes the client of a session; a fresh one each time, because a client that failed to connect cannot be used again.
   * Capabilities and handlers (sampling, elicitation, roots, list changes) have to be registered here, before it
   * connects. Default: a client without either, which bounds what checking a tool's output may cost.
   */
  readonly client?: (() => Client) | undefined
  /**
   * OAuth, as the SDK does it. Its requests go out through `fetch`, without `headers` and without those of `requestInit`.
   * Metadata of the resource is taken from the endpoint's own origin only.
   */
  readonly authProvider?: OAuthClientProvider | undefined
}

/**
 * A connector for the server at `url`. Settings that cannot work are in its `issues`; nothing is sent.
 *
 * @since 0.1.0
 */
export const make = <E = never, R = never>(options: Options<E, R>): Connector.Connector<Client, R> => {
  const { authProvider, client, fetch = globalThis.fetch } = options
  const oauth = authProvider && ((endpoint: URL) => OAuth.make(endpoint, authProvider, fetch))
  return Settings.connector(options, { kind: CallView.kind(client), ...SdkTransport.make(oauth) })
}

/**
 * A `fetch` that sends through Effect's `HttpClient`: for `fetch` in {@link Options}.
 *
 * @since 0.1.0
 */
export const fetchFromHttpClient: Effect.Effect<Fetch, never, HttpClient.HttpClient> = FetchFromHttpClient.make
