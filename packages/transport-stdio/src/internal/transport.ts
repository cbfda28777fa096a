/**
 * The SDK's transport on a child process that somebody else starts, watches and ends.
 */
import { serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import type { Connector } from "@vmcp-keepalive/core"
import { Evidence } from "@vmcp-keepalive/core"
import { Requests } from "@vmcp-keepalive/sdk-client"
import type { Outgoing } from "./childProcess.ts"
import { type Line, LineSplitter } from "./lines.ts"
import * as Message from "./message.ts"

/** See the module. */
export class StdioTransport implements Transport {
  declare onclose?: () => void
  declare onerror?: (error: Error) => void
  declare onmessage?: NonNullable<Transport["onmessage"]>

  readonly requests: Requests.Requests
  readonly #host: Connector.SessionHost
  readonly #stdout: LineSplitter
  readonly #encoder = new TextEncoder()
  #write: ((message: Outgoing) => void) | undefined = undefined
  #stopped = false
  #garbage = 0

  constructor(host: Connector.SessionHost, maxLineBytes: number) {
    this.#host = host
    this.#stdout = new LineSplitter(maxLineBytes, (line) => this.#take(line))
    this.requests = new Requests.Requests(host.subscriptions)
    this.requests.attach(this)
  }

  /** The child runs: what is sent from now on goes to it. */
  attach(write: (message: Outgoing) => void): void {
    this.#write = write
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  send(message: JSONRPCMessage): Promise<void> {
    return this.requests.send(message, (pending) => {
      const write = this.#write
      if (write === undefined) return Promise.reject(new Error("Not connected"))
      write({
        bytes: this.#encoder.encode(serializeMessage(message)),
        leaving: () => {
          if (pending === undefined) return true
          if (this.#stopped || this.requests.pending.get(pending.id) !== pending) return false
          pending.record.fate = "dispatched"
          return true
        }
      })
      return Promise.resolve()
    })
  }

  /** The session ends: what has not left yet never does, since it may be sent on another one. */
  stop(): void {
    this.#stopped = true
    this.requests.close()
  }

  close(): Promise<void> {
    this.stop()
    this.#write = undefined
    this.onclose?.()
    return Promise.resolve()
  }

  /** The child wrote to stdout. What is garbage in one piece is told together, so that a flood of it is bounded. */
  readonly received = (chunk: Uint8Array): void => {
    this.#host.alive()
    this.#stdout.push(chunk)
    if (this.#garbage === 0) return
    this.#host.notice("garbage", this.#garbage)
    this.#garbage = 0
  }

  #take(line: Line): void {
    const reading = Message.read(line)
    if (reading._tag !== "Message" || reading.garbage) this.#garbage++
    if (reading._tag === "Message") return this.#tell(reading.message)
    const pending = reading._tag === "Unreadable" ? this.requests.pending.get(reading.id) : undefined
    if (pending === undefined) return
    this.requests.fail(pending, Evidence.transportFailure("protocol"), "The answer is too long, or no JSON-RPC answer")
  }

  /** What a handler of the user's throws must not end the reading: only its `onerror` is called here and now. */
  #tell(message: JSONRPCMessage): void {
    try {
      this.onmessage?.(message)
    } catch {
      // it has no better place to go to than where it comes from
    }
  }
}
