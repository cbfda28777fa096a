/**
 * What a transport needs of a kind of client: the one thing that differs between the major versions of the MCP SDK, and a
 * client without one.
 */
import type { BackendError, Connector, Lists } from "@vmcp-keepalive/core"
import type * as Effect from "effect/Effect"
import type { ClientTransport } from "./ClientTransport.ts"
import type { Requests } from "./Requests.ts"

/**
 * What a server declares that it lists.
 *
 * @since 0.1.0
 */
export type Capabilities = { readonly [Kind in Lists.Kind]?: unknown }

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface ClientKind<Client> {
  /** what is wrong with how clients are to be made; a transport reports it with its own settings */
  readonly issues: Effect.Effect<ReadonlyArray<BackendError.ConfigurationIssue>>
  /** makes a client that has not been connected yet; a fresh one for each session */
  readonly make: Effect.Effect<Client>
  /**
   * Shakes hands: `initialize`, or `server/discover` of the modern era, as the client negotiates. Rejects where the server does not
   * do its part. `known`: of which era the server was before, for a client that would find it out by asking.
   */
  readonly connect: (client: Client, transport: ClientTransport, known?: "legacy") => Promise<void>
  readonly close: (client: Client) => Promise<void>
  /** what the server said in the handshake that it can do */
  readonly capabilities: (client: Client) => Capabilities | undefined
  /** Begins a call: what `Session.call` of the port returns. */
  readonly call: (requests: Requests, client: Client, traceparent?: string) => Connector.Call<Client>
}
