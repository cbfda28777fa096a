/**
 * The event stream on which a server answers one request, however often the connection under it broke.
 *
 * Where it ends without the answer, the request fails at once, unless the stream can be resumed: see `resumption.ts`.
 */
import type { Buffer } from "node:buffer"
import { Evidence } from "@vmcp-keepalive/core"
import { Message, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import type { Body } from "../http/exchange.ts"
import * as Failure from "../http/failure.ts"
import type { Wire } from "../session/wire.ts"
import { EventStreamReader, isMessage, type ServerSentEvent } from "./eventStream.ts"
import { Heartbeat } from "./heartbeat.ts"
import * as Incoming from "./incoming.ts"
import { resume } from "./resumption.ts"

/** How long the rest of a stream may take whose answer has come, in milliseconds. */
const rest = 250

/** See the module. */
export class AnswerStream implements Body {
  readonly wire: Wire
  readonly pending: Requests.Pending
  /** the id of the last event: what to resume after */
  lastId: string | undefined = undefined
  /** how long the server asks to wait before the stream is opened again, in milliseconds */
  retry: number | undefined = undefined
  /** whether the server ended the last stream as HTTP says that a body ends, and did not merely lose it */
  endedByServer = false
  /** whether a resumed stream brought something of this request */
  progressed = false

  readonly #end: () => void
  readonly #onId: ((id: string) => void) | undefined
  readonly #reader: EventStreamReader
  readonly #waiting = new Set<() => void>()
  #isAnswered = false
  #isOver = false
  /** whether something was handed to the client since the last chunk came */
  #hasDelivered = false
  #bound: NodeJS.Timeout | undefined = undefined
  /** of one that stays open, where the server writes comments on it */
  readonly #heartbeat: Heartbeat | undefined
  /** whether any answer is taken for the one that is awaited: the request was made under another id */
  #isForeign = false

  /** `end` ends the first connection; `onId` hears the id of each event. */
  constructor(wire: Wire, pending: Requests.Pending, end: () => void, onId?: (id: string) => void) {
    this.wire = wire
    this.pending = pending
    this.#end = end
    this.#onId = onId
    this.#heartbeat = pending.record.method === "subscriptions/listen" ? this.#watched() : undefined
    this.#reader = this.reader(
      (event) => this.#take(event, false),
      () => this.#heartbeat?.comment()
    )
    // bound, as that of the request itself
    pending.release = this.#released.bind(this, pending.release)
  }

  /** Whether there is nothing left to wait for: it is answered, or nobody waits. */
  get settled(): boolean {
    return this.#isAnswered || this.#isOver || this.wire.requests.pending.get(this.pending.id) !== this.pending
  }

  /** Calls it when there is nothing left to wait for; what this returns takes that back. */
  onSettled(listener: () => void): () => void {
    if (this.settled) listener()
    else this.#waiting.add(listener)
    return () => void this.#waiting.delete(listener)
  }

  // ------------------------------------------------------------------------------------------------ the first connection

  onData(chunk: Uint8Array): void {
    this.#hasDelivered = false
    this.pending.record.heardAt = this.wire.host.alive()
    this.#heartbeat?.bytes()
    if (!this.#reader.push(chunk)) this.exceeded(this.#reader.exceeded)
    // Read to its end, so that the connection can serve again; a server that does not end it is not waited for.
    else if (this.#isAnswered) this.#bound ??= setTimeout(this.#end, rest)
  }

  onEnd(): void {
    this.endedByServer = true
    this.#broken()
  }

  onFailure(): void {
    this.#broken()
  }

  onOver(): void {
    clearTimeout(this.#bound)
    this.#heartbeat?.stop()
  }

  /** Where comments stop coming, the session is doubted, and the stream is to be opened again. */
  #watched(): Heartbeat {
    return new Heartbeat(this.wire, {
      onSilence: () => {
        const silent = Evidence.transportFailure("timeout")
        this.wire.host.observe(silent)
        this.fail(silent)
        this.#end()
      }
    })
  }

  #broken(): void {
    if (this.settled) return
    // the modern era knows no resumption: what is cut is lost
    if (this.lastId === undefined || this.pending.modern) this.fail()
    else this.wire.fork(resume(this))
  }

  /** Continues a request that was made on another session, with what follows an event. */
  continueAfter(id: string): void {
    this.#isForeign = true
    this.lastId = id
    this.wire.fork(resume(this))
  }

  // ------------------------------------------------------------------------------------------------- further connections

  /** What reads a connection. */
  reader(onEvent: (event: ServerSentEvent) => void, onComment?: () => void): EventStreamReader {
    const onRetry = (retry: number) => {
      this.retry = retry
    }
    return new EventStreamReader(this.wire.limits, { onEvent, onRetry, onComment })
  }

  /** An event of a resumed stream: what the server sends again is not handed on again. True when it is news. */
  takeResumed(event: ServerSentEvent): boolean {
    this.#hasDelivered = false
    const again = this.wire.events.seen(event)
    if (!again) this.#take(event, true)
    else if (event.id !== undefined) this.#lastId(event.id)
    return !again && event.id !== undefined
  }

  /** No answer will come. */
  fail(evidence: Evidence.Evidence = Evidence.transportFailure("stream_cut")): void {
    if (!this.wire.isOver) this.wire.requests.fail(this.pending, evidence, Failure.errorOf(evidence))
    this.finish()
  }

  /** What came exceeds a bound. */
  exceeded(what = "an answer"): void {
    this.fail(Failure.overflow(what))
    this.#end()
  }

  /** Nothing of it is needed any more, so that nothing of it may hold a socket. */
  finish(): void {
    this.#isOver = true
    this.#settled()
  }

  #released(release: (() => void) | undefined): void {
    // What is left of the stream after the answer is read away, so that its connection can serve again.
    if (!this.#isAnswered) release?.()
    this.#settled()
  }

  #settled(): void {
    for (const listener of this.#waiting) listener()
    this.#waiting.clear()
  }

  #lastId(id: string): void {
    this.lastId = id
    this.#onId?.(id)
  }

  #take(event: ServerSentEvent, resumed: boolean): void {
    if (event.id !== undefined && event.id !== "") {
      if (!resumed) this.wire.events.seen(event)
      if (!resumed && this.lastId !== undefined) this.wire.replayable = { after: this.lastId, id: event.id }
      this.#lastId(event.id)
    }
    if (!this.settled && isMessage(event)) this.#read(event.data, resumed)
  }

  #read(data: Buffer, resumed: boolean): void {
    if (data.length > Incoming.mostBytes(this.wire, this.pending))
      return this.exceeded(Incoming.tooLong(this.wire, this.pending))
    const excess = Message.excess(data, this.wire.limits)
    if (excess !== undefined) return this.exceeded(`an answer has ${excess}`)
    const value = Message.parse(data.toString("utf8"))
    if (value === undefined) return this.wire.host.notice("garbage")
    const message = Message.of(value)
    // A server that mixes its streams up may send here the `{}` with which it keeps the beginning of another one.
    if (message === undefined) return resumed ? undefined : this.#refuse()
    const kind = this.#isForeign && Message.isAnswer(message) ? "answer" : Incoming.kindFor(message, this.pending.id)
    if (resumed && (kind === "progress" || kind === "answer")) this.progressed = true
    switch (kind) {
      case "answer":
        return this.#answered(message as Message.Answer, data.length)
      case "nobody":
        return this.#refuse()
      case "alien":
        // A server that mixes its streams up may send here what answers others. Nobody's answer is no answer at all.
        if (resumed) return
        if (this.wire.requests.answeredBy(message) === undefined) return this.#refuse()
    }
    this.#hasDelivered = true
    this.wire.receive(message, data.length, this.pending.id)
  }

  #answered(message: Message.Answer, bytes: number): void {
    this.#isAnswered = true
    const answer = { ...message, id: this.pending.id }
    // The SDK hands notifications to their handlers a microtask later, and forgets those of progress with the answer.
    if (this.#hasDelivered) queueMicrotask(() => this.wire.receive(answer, bytes, this.pending.id))
    else this.wire.receive(answer, bytes, this.pending.id)
    this.#settled()
  }

  /** What came instead of the answer is none, and nothing better will come. */
  #refuse(): void {
    this.wire.host.notice("garbage")
    this.fail(Evidence.transportFailure("protocol"))
    this.#end()
  }
}
