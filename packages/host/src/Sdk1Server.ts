/**
 * A kept connection as a server of the MCP SDK 1.x, for frameworks that take an `McpServer` and connect a transport to it, such as the
 * Claude Agent SDK. Needs `@modelcontextprotocol/sdk`.
 */
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import type { KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import { Joint } from "./internal/joint.ts"
import { type Keeper, make, type Observed, type Options as KeeperOptions } from "./internal/keeper.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What {@link toSdkServer} takes.
 *
 * @since 0.1.0
 */
export type Options<R = never> = KeeperOptions<R>

/**
 * An `McpServer` whose tools, resources and prompts are those of the server that is kept: what is registered on it besides is not
 * seen. It is connected to one transport at a time; closing ends that connection, and another transport gets another one.
 *
 * @since 0.1.0
 */
export class KeptServer extends McpServer implements Observed {
  /** the id of the backend */
  readonly id: string
  readonly on: Observed["on"]
  readonly #make: () => Keeper
  #keeper: Keeper
  #transport: Transport | undefined
  /** of the connection before */
  #closing: Promise<void> | undefined

  /** See {@link toSdkServer}. */
  constructor(id: string, make: () => Keeper) {
    super({ name: id, version: "0.1.0" })
    this.id = id
    this.#make = make
    this.#keeper = make()
    this.on = this.#keeper.on
  }

  get state(): Observed["state"] {
    return this.#keeper.state
  }

  /** Joins the transport to the kept connection. The server is reached when the host initializes. */
  override async connect(transport: Transport): Promise<void> {
    if (this.#transport !== undefined)
      throw new Error("This server has a transport: close it first, or make another server for this one")
    if (this.#closing !== undefined) this.#keeper = this.#make()
    this.#closing = undefined
    this.#transport = transport
    const keeper = this.#keeper
    const joint = new Joint({
      open: keeper.open,
      send: (message, { relatedRequestId }) => {
        if (this.#transport === transport) send(transport, message, relatedRequestId)
      }
    })
    const { onclose } = transport
    transport.onmessage = (message) => joint.take(message)
    transport.onclose = () => {
      onclose?.()
      this.#ended(transport, keeper)
    }
    try {
      await joint.opened()
      await transport.start()
    } catch (error) {
      this.#ended(transport, keeper)
      throw error
    }
  }

  /** Closes the transport. Resolves when everything that its connection held is freed. */
  override async close(): Promise<void> {
    await this.#transport?.close()
    await this.#closing
  }

  override isConnected(): boolean {
    return this.#transport !== undefined
  }

  #ended(transport: Transport, keeper: Keeper): void {
    if (this.#transport !== transport) return
    this.#transport = undefined
    this.#closing = keeper.close()
  }
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * A server for a framework that takes one (`mcpServers: { x: { type: "sdk", name: "x", instance: toSdkServer({ … }) } }`). Nothing is
 * started before the framework connects it. Throws a `ConfigurationError` with everything that is wrong in the settings.
 *
 * @since 0.1.0
 */
export const toSdkServer = <R = never>(options: Options<R>): KeptServer => {
  const listeners = new Set<KeepaliveEvent.Observer>()
  return new KeptServer(options.id, () => make(options, { listeners }))
}

// ----------------------------------------------------------------------------------------------------------- internal

/** What cannot be sent has a host that is gone, of which `onclose` tells. */
const send = (transport: Transport, message: Message.Message, relatedRequestId: Message.Id | undefined): void => {
  // The same by the specification; the SDK's type has fields that this one leaves open.
  const sent = message as JSONRPCMessage
  transport.send(sent, relatedRequestId === undefined ? {} : { relatedRequestId }).catch(() => {})
}
