/**
 * What a transport needs of a kind of client: the one thing that differs between the major versions of the MCP SDK, and a
 * client without one.
 */
import type { Connector } from "@vmcp-keepalive/core"
import type { ClientTransport } from "./ClientTransport.ts"
import type { Requests } from "./Requests.ts"

/**
 * See the module.
 *
 * @since 0.1.0
 */
export interface ClientKind<Client> {
  /** a client that has not been connected yet */
  readonly make: () => Client
  /** Shakes hands. Rejects where the server does not do its part. */
  readonly connect: (client: Client, transport: ClientTransport) => Promise<void>
  readonly close: (client: Client) => Promise<void>
  /** what the server said in the handshake that it can do */
  readonly capabilities: (client: Client) => { readonly tools?: unknown } | undefined
  /** Begins a call: what `Session.call` of the port returns. */
  readonly call: (requests: Requests, client: Client, traceparent?: string) => Connector.Call<Client>
}
