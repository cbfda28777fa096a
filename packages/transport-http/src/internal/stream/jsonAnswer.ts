/**
 * The answer to one request as JSON: one message, or several in an array.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Message, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import { asBuffer, Bytes } from "../http/bytes.ts"
import type { Body } from "../http/exchange.ts"
import * as Failure from "../http/failure.ts"
import type { Wire } from "../session/wire.ts"
import * as Incoming from "./incoming.ts"

const empty = new Uint8Array()

/** See the module. */
export class JsonAnswer implements Body {
  readonly #wire: Wire
  readonly #pending: Requests.Pending
  readonly #most: number
  /** the whole of it, as a rule */
  #first: Uint8Array | undefined = undefined
  #bytes: Bytes | undefined = undefined

  constructor(wire: Wire, pending: Requests.Pending) {
    this.#wire = wire
    this.#pending = pending
    this.#most = Incoming.mostBytes(wire, pending)
  }

  onData(chunk: Uint8Array): void {
    this.#pending.record.heardAt = this.#wire.host.alive()
    if (chunk.length + (this.#bytes ?? this.#first ?? empty).length > this.#most)
      return this.#fail(Failure.overflow(Incoming.tooLong(this.#wire, this.#pending)))
    if (this.#first === undefined && this.#bytes === undefined) {
      this.#first = chunk
      return
    }
    this.#bytes ??= new Bytes()
    if (this.#first !== undefined) this.#bytes.append(this.#first)
    this.#first = undefined
    this.#bytes.append(chunk)
  }

  onEnd(): void {
    const json = this.#bytes?.take() ?? asBuffer(this.#first ?? empty)
    const excess = Message.excess(json, this.#wire.limits)
    if (excess !== undefined) return this.#fail(Failure.overflow(`an answer has ${excess}`))
    const value = Message.parse(json.toString("utf8"))
    const messages: ReadonlyArray<unknown> = Array.isArray(value) ? value : [value]
    let isAnswered = false
    for (const each of messages) {
      const message = Message.of(each)
      if (message === undefined) continue
      isAnswered ||= Incoming.kindFor(message, this.#pending.id) === "answer"
      this.#wire.receive(message, json.length, this.#pending.id)
    }
    if (!isAnswered) this.#fail(Evidence.transportFailure("protocol"))
  }

  onFailure(failure: Failure.Failure): void {
    this.#fail(Failure.evidenceOf(failure, failure.reason === "protocol" ? "protocol" : "stream_cut"))
  }

  #fail(evidence: Evidence.Evidence): void {
    if (!this.#wire.isOver) this.#wire.requests.fail(this.#pending, evidence, Failure.errorOf(evidence))
  }
}
