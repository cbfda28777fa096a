/**
 * One session of a host's: its connection to the server, the requests that are under way on it, and their streams.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { About, Deliver } from "../delivery.ts"
import type { Opened } from "../keeper.ts"
import { EventStream } from "./eventStream.ts"
import { type Refusal, refusals } from "./httpRequest.ts"
import * as Lost from "./lost.ts"
import { type Open, route } from "./route.ts"
import { type FromServer, Undelivered } from "./undelivered.ts"

/** What it is made of. */
export interface Options {
  readonly id: string
  /** the id of the backend */
  readonly backend: string
  /** Opens the connection. */
  readonly open: (deliver: Deliver) => Promise<Pick<Opened, "take" | "close">>
  /** A request of the host's has come or was settled. */
  readonly used: () => void
  /** It was ended, by whomever: called once. */
  readonly ended: () => void
  /** What one stream holds that is not read, see {@link EventStream}. */
  readonly most?: number | undefined
}

/** A request of the host's that is under way. */
interface Call {
  readonly stream: EventStream
  readonly method: string
  readonly token: unknown
  /** ends the reading of the host's signal */
  readonly settled: () => void
}

/** See the module. */
export class HostSession {
  readonly id: string
  readonly #options: Options
  readonly #calls = new Map<Message.Id, Call>()
  readonly #tokens = new Map<unknown, Message.Id>()
  readonly #undelivered = new Undelivered()
  readonly #open: Open
  #standing: { readonly stream: EventStream; readonly settled: () => void } | undefined
  #peer: Pick<Opened, "take" | "close"> | undefined
  #ending: Promise<void> | undefined

  constructor(options: Options) {
    this.id = options.id
    this.#options = options
    const isStanding = () => this.#standing !== undefined
    this.#open = {
      calls: this.#calls,
      byToken: (token) => this.#tokens.get(token),
      get standing() {
        return isStanding()
      }
    }
  }

  /** Whether it is open and no request is under way. */
  get isIdle(): boolean {
    return this.#peer !== undefined && this.#calls.size === 0
  }

  /** Whether somebody reads what belongs to no request. */
  get isAttended(): boolean {
    return this.#standing !== undefined
  }

  /** Opens its connection, and rejects where that cannot be made. */
  async start(): Promise<void> {
    const peer = await this.#options.open((message, about) => this.#deliver(message, about))
    if (this.#ending === undefined) this.#peer = peer
    else await peer.close()
  }

  /** A message of the host's: a stream where it is a request, nothing where it is none. */
  post(message: Message.Message, signal: AbortSignal | undefined): EventStream | undefined | Refusal {
    const peer = this.#peer
    if (peer === undefined || this.#ending !== undefined) return refusals.unknownSession
    this.#options.used()
    if (!Message.isRequest(message)) {
      peer.take(message)
      const cancelled = Message.cancelled(message)
      // it gets no answer
      if (cancelled !== undefined) this.#settle(cancelled)?.stream.end()
      return undefined
    }
    const { id, method, params } = message
    if (this.#calls.has(id)) return refusals.idInUse
    const abort = () => this.#abandoned(id)
    const stream = new EventStream({ abandoned: abort, most: this.#options.most })
    const token = params?._meta?.["progressToken"]
    this.#calls.set(id, { stream, method, token, settled: onAbort(signal, stream, abort) })
    if (token !== undefined) this.#tokens.set(token, id)
    this.#release()
    peer.take(message)
    return stream
  }

  /** Opens the stream for what belongs to no request. A host reads one: an earlier one is one that it has lost. */
  listen(signal: AbortSignal | undefined): EventStream | Refusal {
    if (this.#ending !== undefined) return refusals.unknownSession
    this.#options.used()
    this.#unlisten()
    const gone = () => {
      if (this.#standing?.stream === stream) this.#unlisten()
    }
    const stream = new EventStream({ abandoned: gone, most: this.#options.most })
    this.#standing = { stream, settled: onAbort(signal, stream, gone) }
    this.#release()
    return stream
  }

  /** Ends it: what is under way is answered with an error. Resolves when everything that it held is freed. */
  end(): Promise<void> {
    if (this.#ending !== undefined) return this.#ending
    this.#ending = this.#peer?.close() ?? Promise.resolve()
    this.#unlisten()
    for (const id of [...this.#calls.keys()]) this.#settle(id)?.stream.end(Lost.ended(this.#options.backend, id))
    this.#undelivered.release()
    this.#options.ended()
    return this.#ending
  }

  // --------------------------------------------------------------------------------------------------- to the host

  #deliver(message: Message.Message, { relatedRequestId }: About): void {
    if (this.#ending !== undefined) return
    const place = route(message, relatedRequestId, this.#open)
    if (Message.isAnswer(message)) {
      if (place._tag === "Answer") this.#answer(place.id, message)
    } else if (place._tag === "Call") this.#onCall(place.id, message)
    else if (place._tag === "Standing") this.#onStanding(message)
    else this.#hold(message)
  }

  #answer(id: Message.Id, answer: Message.Answer): void {
    const call = this.#settle(id)
    call?.stream.end(answer)
    // The host knows of no session then, and begins another one.
    if (call?.method === "initialize" && "error" in answer) void this.end()
  }

  #onCall(id: Message.Id, message: FromServer): void {
    const stream = this.#calls.get(id)?.stream
    if (stream?.push(message) !== false) return
    this.#settle(id)
    this.#cancel(id)
    stream.clear()
    stream.end(Lost.unread(this.#options.backend, id))
  }

  #onStanding(message: FromServer): void {
    const standing = this.#standing
    if (standing?.stream.push(message) !== false) return
    // Ended and not failed: what waits in it is still read by who reads at all, and the host opens another one.
    this.#unlisten()
    this.#hold(message)
  }

  #hold(message: FromServer): void {
    for (const given of this.#undelivered.hold(message)) {
      if ("id" in given) this.#peer?.take(Lost.undeliverable(given.id))
    }
  }

  /** A stream was opened: what has waited for one goes on it. */
  #release(): void {
    for (const message of this.#undelivered.release()) this.#deliver(message, {})
  }

  // ------------------------------------------------------------------------------------------------- from the host

  /** Nobody reads what becomes of the request. */
  #abandoned(id: Message.Id): void {
    const call = this.#settle(id)
    if (call === undefined) return
    this.#cancel(id)
    // A host that has given up its own handshake has no use for the session.
    if (call.method === "initialize") void this.end()
  }

  #cancel(id: Message.Id): void {
    this.#peer?.take({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } })
  }

  #settle(id: Message.Id): Call | undefined {
    const call = this.#calls.get(id)
    if (call === undefined) return undefined
    this.#calls.delete(id)
    if (this.#tokens.get(call.token) === id) this.#tokens.delete(call.token)
    call.settled()
    this.#options.used()
    return call
  }

  #unlisten(): void {
    this.#standing?.settled()
    this.#standing?.stream.end()
    this.#standing = undefined
  }
}

/** Fails the stream when the signal aborts, as a body that is read over a network fails. */
const onAbort = (signal: AbortSignal | undefined, stream: EventStream, abandoned: () => void): (() => void) => {
  if (signal === undefined) return () => {}
  const abort = () => {
    stream.fail(signal.reason)
    abandoned()
  }
  signal.addEventListener("abort", abort, { once: true })
  return () => signal.removeEventListener("abort", abort)
}
