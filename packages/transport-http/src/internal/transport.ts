/**
 * The SDK's transport, whose requests are known from before they are sent until they are settled.
 */
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { StreamableHTTPClientTransportOptions } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import type { Line, Wire } from "./wire.ts"

type SendOptions = Parameters<StreamableHTTPClientTransport["send"]>[1]

/** See the module. */
export class GuardedTransport extends StreamableHTTPClientTransport implements Line {
  readonly #wire: Wire

  constructor(wire: Wire, options: StreamableHTTPClientTransportOptions) {
    super(wire.endpoint, {
      ...options,
      // Streams are opened again by us: the SDK gives up after a few tries and loses the results of calls.
      reconnectionOptions: {
        initialReconnectionDelay: 1000,
        maxReconnectionDelay: 1000,
        reconnectionDelayGrowFactor: 1,
        maxRetries: 0
      }
    })
    this.#wire = wire
    wire.attach(this)
    wire.requests.attach(this)
  }

  override send(message: JSONRPCMessage | Array<JSONRPCMessage>, options?: SendOptions): Promise<void> {
    return this.#wire.requests.send(message, () => super.send(message, options))
  }

  /** Keeps from the client's `onerror` that the SDK does not reconnect, which is our doing, and what comes after the end. */
  muffle(): void {
    const report = this.onerror
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    this.onerror = (error) => {
      if (!this.#wire.ended && !error.message.startsWith("Maximum reconnection attempts")) report?.(error)
    }
  }
}
