/**
 * The SDK's transport on a child process that somebody else starts, watches and ends.
 */
import { serializeMessage } from "@modelcontextprotocol/sdk/shared/stdio.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import type { Connector } from "@vmcp-keepalive/core"
import { Evidence } from "@vmcp-keepalive/core"
import { type RequestRecord, Requests } from "@vmcp-keepalive/sdk-client"
import type { Outgoing, Reader } from "./childProcess.ts"
import { type Line, LineSplitter } from "./lines.ts"
import * as Message from "./message.ts"

/** See the module. */
export class StdioTransport implements Transport {
  declare onclose?: () => void
  declare onerror?: (error: Error) => void
  declare onmessage?: NonNullable<Transport["onmessage"]>

  readonly requests: Requests.Requests
  readonly #host: Connector.SessionHost
  readonly #lines: LineSplitter
  #write: ((outgoing: Outgoing) => void) | undefined = undefined
  #stopped = false
  #garbage = 0

  constructor(host: Connector.SessionHost, maxLineBytes: number) {
    this.#host = host
    this.#lines = new LineSplitter(maxLineBytes, (line) => this.#take(line))
    this.requests = new Requests.Requests(host.subscriptions)
    this.requests.attach(this)
  }

  /** The child runs: what is sent from now on goes to it. */
  attach(write: (outgoing: Outgoing) => void): void {
    this.#write = write
  }

  start(): Promise<void> {
    return Promise.resolve()
  }

  /** Resolves when the turn of the message has come, so that whoever sends many waits for a child that does not read. */
  send(message: JSONRPCMessage): Promise<void> {
    return this.requests.send(message, async (pending) => {
      const isTooLate = this.#stopped && pending !== undefined
      if (this.#write === undefined || isTooLate) throw new Error("Not connected")
      const queued = new Queued(message, pending?.record)
      if (pending !== undefined) pending.release = () => queued.drop()
      this.#write(queued)
      await queued.turn
    })
  }

  /**
   * The session ends: a request that has not left yet never does, since it may be sent on another one. What the child
   * says is for those who wait for an answer, and no longer for the handlers of the user's.
   */
  stop(evidence?: Evidence.Evidence): void {
    this.#stopped = true
    this.requests.close(evidence)
  }

  close(): Promise<void> {
    this.stop()
    this.#write = undefined
    this.onclose?.()
    return Promise.resolve()
  }

  /** What the child writes to stdout. */
  readonly stdout: Reader = {
    push: (chunk) => {
      this.#host.alive()
      this.#lines.push(chunk)
      this.#noticeGarbage()
    },
    end: () => {
      this.#lines.end()
      this.#noticeGarbage()
    }
  }

  /** What is garbage in one piece is told together, so that a flood of it is bounded. */
  #noticeGarbage(): void {
    if (this.#garbage > 0) this.#host.notice("garbage", this.#garbage)
    this.#garbage = 0
  }

  #take(line: Line): void {
    const { found, garbage } = Message.read(line)
    // What the end of a session cuts off is none of the server's.
    if (garbage && !this.#stopped) this.#garbage++
    for (const one of found) {
      if (one._tag === "Message") this.#deliver(one.message)
      else this.#refuse(one.id, one.because)
    }
  }

  /** What a handler of the user's throws must not end the reading: only its `onerror` is called here and now. */
  #deliver(message: JSONRPCMessage): void {
    if (this.#stopped && this.requests.answeredBy(message) === undefined) return
    try {
      this.onmessage?.(message)
    } catch {
      // it has no better place to go to than where it comes from
    }
  }

  /** The server did answer, so that the request must not be sent again; but nobody can be given the answer. */
  #refuse(id: number, because: string): void {
    const pending = this.requests.pending.get(id)
    if (pending === undefined) return
    pending.record.fate = "answered"
    this.requests.fail(pending, Evidence.answered, because)
  }
}

/**
 * A message that waits for its turn. It is written as it was when it was sent, whatever its caller does to it meanwhile,
 * and is kept no longer than somebody needs it.
 */
class Queued implements Outgoing {
  readonly #record: RequestRecord.Record | undefined
  #bytes: Uint8Array | undefined
  #leave = () => {}
  /** resolves when its turn has come, or will not */
  readonly turn = new Promise<void>((resolve) => (this.#leave = resolve))

  constructor(message: JSONRPCMessage, record: RequestRecord.Record | undefined) {
    this.#bytes = encoder.encode(serializeMessage(message))
    this.#record = record
  }

  take(): Uint8Array | undefined {
    const bytes = this.#bytes
    if (bytes !== undefined && this.#record !== undefined) this.#record.fate = "dispatched"
    this.drop()
    return bytes
  }

  drop(): void {
    this.#bytes = undefined
    this.#leave()
  }
}

const encoder = new TextEncoder()
