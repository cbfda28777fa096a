/**
 * The stream on which a server answers one request, as the SDK sees it: one stream of complete events up to the
 * answer, however often the connection under it broke.
 *
 * Where it ends without the answer, the request fails at once, unless the stream can be resumed: see `resume.ts`.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Message, type Requests } from "@vmcp-keepalive/sdk-client"
import * as Http from "./http.ts"
import type { HttpResponse } from "./http.ts"
import { idOf, kindFor } from "./message.ts"
import { resume } from "./resume.ts"
import * as Sse from "./sse.ts"
import type { SseEvent } from "./sse.ts"
import type { Wire } from "./wire.ts"

/** How long the rest of a stream may take whose answer has come, in milliseconds. */
const rest = 1000

/** Reads the answer in `response`; what it returns is the body for the SDK. */
export const answerStream = (
  wire: Wire,
  pending: Requests.Pending,
  exchange: AbortController,
  response: HttpResponse
): ReadableStream<Uint8Array> =>
  new ReadableStream({
    start: (controller) => {
      void new AnswerStream(wire, pending, exchange, controller).run(response)
    },
    cancel: () => exchange.abort()
  })

/** One connection on which the answer may come. */
export interface Source {
  /** whether it has ended */
  readonly over: boolean
  /** resolves when it has ended, or the request needs it no longer */
  readonly end: Promise<void>
  /** how many events with an id it brought that had not come before */
  readonly news: number
  readonly drop: () => void
}

/** See the module. */
export class AnswerStream {
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

  readonly #exchange: AbortController
  readonly #controller: ReadableStreamDefaultController<Uint8Array>
  readonly #encoder = new TextEncoder()
  #answered = false
  #invalid = false
  #closed = false

  constructor(
    wire: Wire,
    pending: Requests.Pending,
    exchange: AbortController,
    controller: ReadableStreamDefaultController<Uint8Array>
  ) {
    this.wire = wire
    this.pending = pending
    this.#exchange = exchange
    this.#controller = controller
  }

  /** Whether there is nothing left to wait for: it is answered, or nobody waits. */
  get settled(): boolean {
    return (
      this.#answered ||
      this.#exchange.signal.aborted ||
      this.wire.requests.pending.get(this.pending.id) !== this.pending
    )
  }

  /** Aborted when nobody waits any more. */
  get signal(): AbortSignal {
    return this.#exchange.signal
  }

  /** Reads the first connection, and says what to do when it has ended. */
  async run(response: HttpResponse): Promise<void> {
    const end = await this.#read(response, this.#exchange.signal, (event) => this.#take(event))
    this.endedByServer = end === "ended"
    if (this.settled) return this.finish()
    if (this.lastId === undefined || this.#invalid) return this.fail()
    this.wire.fork(resume(this))
  }

  /** Reads another connection, opened to resume. */
  source(response: HttpResponse, controller: AbortController): Source {
    let news = 0
    let over = false
    const drop = () => controller.abort()
    this.#exchange.signal.addEventListener("abort", drop, { once: true })
    const end = this.#read(response, controller.signal, (event) => {
      if (this.#takeResumed(event)) news++
    }).then((how) => {
      over = true
      this.endedByServer = how === "ended"
      this.#exchange.signal.removeEventListener("abort", drop)
      this.wire.end(controller)
    })
    return {
      get over() {
        return over
      },
      get news() {
        return news
      },
      end,
      drop
    }
  }

  /** No answer will come. */
  fail(): void {
    this.wire.requests.fail(
      this.pending,
      Evidence.transportFailure(this.#invalid ? "protocol" : "stream_cut"),
      this.#invalid
        ? "What the server sent does not answer the request"
        : "The connection ended before the answer, which cannot be recovered"
    )
    this.finish()
  }

  /** The SDK needs no more of it, so that nothing of it may hold a socket: neither a connection nor one that resumed it. */
  finish(): void {
    this.#close()
    this.#exchange.abort()
    this.wire.end(this.#exchange)
  }

  async #read(response: HttpResponse, signal: AbortSignal, onEvent: (event: SseEvent) => void): Promise<Http.BodyEnd> {
    const feed = Sse.parser({
      onEvent,
      onRetry: (retry) => {
        this.retry = retry
      }
    })
    let bound: NodeJS.Timeout | undefined
    const end = await Http.readText(response.body, signal, (text) => {
      this.wire.host.alive()
      if (!feed(text)) {
        this.#invalid = true
        return false
      }
      // Read to its end, so that the connection can serve again; a server that does not end it is not waited for.
      if (this.#answered) bound ??= setTimeout(() => this.#exchange.abort(), rest)
      return true
    })
    clearTimeout(bound)
    return end
  }

  /** An event of a resumed stream: what the server sends again is not handed on again. True when it is news. */
  #takeResumed(event: SseEvent): boolean {
    const again = this.wire.seen(event)
    if (!again) this.#take(event, true)
    else if (event.id !== undefined) this.lastId = event.id
    return !again && event.id !== undefined
  }

  #take(event: SseEvent, resumed = false): void {
    if (event.id !== undefined && event.id !== "") {
      if (!resumed) this.wire.seen(event)
      if (!resumed && this.lastId !== undefined) this.wire.replayable = { after: this.lastId, id: event.id }
      this.lastId = event.id
    }
    if (this.#closed) return
    if (!Sse.isMessage(event)) return this.#forward(event)
    const message = Message.parse(event.data)
    if (message === undefined) return this.wire.host.notice("garbage")
    const kind = kindFor(message, this.pending.id)
    if (resumed && (kind === "progress" || kind === "answer")) this.progressed = true
    if (kind === "invalid") return this.#refuse()
    if (kind === "alien") {
      // A server that mixes its streams up may send here what answers others. Nobody's answer is no answer at all.
      if (!resumed && !this.wire.requests.pending.has(idOf(message))) this.#refuse()
      else if (!resumed) this.#forward(event)
      return
    }
    this.#forward(event)
    if (kind !== "answer") return
    this.#answered = true
    this.#close()
  }

  /** What came instead of the answer is none, and nothing better will come. */
  #refuse(): void {
    this.wire.host.notice("garbage")
    this.#invalid = true
    this.fail()
    this.#exchange.abort()
  }

  #forward(event: SseEvent): void {
    this.#controller.enqueue(this.#encoder.encode(Sse.encode(event)))
  }

  #close(): void {
    if (this.#closed) return
    this.#closed = true
    try {
      this.#controller.close()
    } catch {
      // The SDK has cancelled it.
    }
  }
}
