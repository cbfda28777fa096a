/**
 * The SDK's transport, whose requests are known to the wire from before they are sent until they are settled.
 */
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { StreamableHTTPClientTransportOptions } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { Evidence } from "@vmcp-keepalive/core"
import * as Message from "./message.ts"
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
    // The client calls this before its own handler.
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    this.onmessage = (message) => wire.received(message)
    wire.attach(this)
  }

  override send(message: JSONRPCMessage | Array<JSONRPCMessage>, options?: SendOptions): Promise<void> {
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined) {
      const pending = this.#wire.cancel(cancelled)
      return pending === undefined || pending.silent ? Promise.resolve() : super.send(message, options)
    }
    if (Array.isArray(message) || !("method" in message) || !("id" in message)) return super.send(message, options)
    const pending = this.#wire.sending(message)
    const sent = super.send(message, options)
    // The client attaches its own handler as soon as this returns, so it rejects the request with the real error first.
    queueMicrotask(() => {
      sent.catch(() => {
        pending.record.evidence ??= Evidence.transportFailure("unknown")
        this.#wire.settle(pending, "The request could not be sent")
      })
    })
    return sent
  }

  /** Keeps from the client's `onerror` that the SDK does not reconnect, which is our doing, and what comes after the end. */
  muffle(): void {
    const report = this.onerror
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    this.onerror = (error) => {
      if (!this.#wire.ended && !error.message.startsWith("Maximum reconnection attempts")) report?.(error)
    }
  }

  /** Hands a message to the client as if it had come from the server. */
  deliver(message: JSONRPCMessage): void {
    this.onmessage?.(message)
  }
}
