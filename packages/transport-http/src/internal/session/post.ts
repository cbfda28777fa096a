/**
 * Sends messages: a request, whose answer comes as JSON or on an event stream; a notification or an answer of ours, which the
 * server merely takes.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { ListenStream, Message, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Duration from "effect/Duration"
import type { Asker, Body, Exchange } from "../http/exchange.ts"
import * as Drain from "../http/drain.ts"
import * as Failure from "../http/failure.ts"
import { type Head, mediaType } from "../http/sender.ts"
import { AnswerStream } from "../stream/answerStream.ts"
import { JsonAnswer } from "../stream/jsonAnswer.ts"
import * as Negotiation from "./negotiation.ts"
import * as RequestHeaders from "./requestHeaders.ts"
import type { Waiter } from "./slots.ts"
import type { Wire } from "./wire.ts"

/** What a server may take to take in a cancellation, in milliseconds: a frozen one is not waited for. */
const cancellationTime = 1000

const accepted = "application/json, text/event-stream"

/** The part of a session's wire that sends. */
export const make = (wire: Wire): Omit<Requests.Wire, "deliver"> => ({
  request: (message, pending, options) => {
    if (ListenStream.isOne(message, pending)) ListenStream.ofClient(wire.listening, message, pending)
    else new Post(wire, message, pending, options).start()
  },
  transmit: (message) => transmit(wire, message)
})

/** A request on its way to its answer: it waits for a connection, holds it, and gives it back. */
class Post implements Waiter, Asker {
  hasSlot = false
  readonly #wire: Wire
  readonly #message: Message.Request
  readonly #pending: Requests.Pending
  readonly #options: Requests.SendOptions | undefined
  #exchange: Exchange | undefined = undefined
  #stream: AnswerStream | undefined = undefined
  #isSettled = false
  #sentAt = 0
  #hasRefreshed = false
  /** whether it is sent again, so that the end of the exchange before is not its end */
  #isRepeated = false
  /** of a handshake: it is known whether the server has begun a session */
  #decided: (() => void) | undefined = undefined

  constructor(
    wire: Wire,
    message: Message.Request,
    pending: Requests.Pending,
    options: Requests.SendOptions | undefined
  ) {
    this.#wire = wire
    this.#message = message
    this.#pending = pending
    this.#options = options
  }

  start(): void {
    // Bound, and no arrow function: V8 allocates one that is assigned to a property in its old generation, where it would keep all that
    // belongs to the call until a full collection.
    this.#pending.release = this.#release.bind(this)
    // Questions of the transport's own do not wait behind the calls of which they are to tell whether they will be answered.
    if (this.#pending.own || this.#isHandshake || this.#isNegotiation) this.begin()
    else this.#wire.calls.take(this)
  }

  dismissed(): void {
    this.#fail(this.#wire.unreachable ?? Evidence.transportFailure("unknown"))
  }

  /** Whether it runs nothing, however often it is asked. */
  get #isQuestion(): boolean {
    return this.#pending.own && this.#message.method !== "tools/call"
  }

  get #isHandshake(): boolean {
    return this.#message.method === "initialize"
  }

  /** Whether the client asks with it, before anything else, which era the server is of. */
  get #isNegotiation(): boolean {
    const { guarded, own } = this.#pending
    return this.#message.method === "server/discover" && !guarded && !own && !this.#wire.opened
  }

  /** Nobody waits for it any more, or it has its answer. A handshake goes on: the session that it begins is to be ended. */
  #release(): void {
    this.#isSettled = true
    if (this.#exchange === undefined) this.onOver()
    else if (!this.#isHandshake) this.#exchange.abort()
  }

  begin(): void {
    const token = this.#options?.resumptionToken
    if (token !== undefined) return this.#resume(token)
    const { authorization } = this.#wire
    if (authorization === undefined) return this.#send(undefined)
    authorization.token().then(
      (token) => this.#send(token),
      () => this.#unsent(Evidence.transportFailure("auth"))
    )
  }

  /** It is not sent, or not once more. */
  #unsent(evidence: Evidence.Evidence): void {
    this.#fail(evidence)
    this.onOver()
  }

  #send(token: string | undefined): void {
    // It may have waited until nobody wanted it any more, and be sent on another session already.
    if (this.#isSettled || this.#wire.isOver) return this.onOver()
    const headers = this.#wire.headers(accepted, token)
    RequestHeaders.add(headers, this.#message, this.#options)
    headers["content-type"] = "application/json"
    const body = JSON.stringify(this.#message)
    this.#exchange = this.#wire.exchange({ method: "POST", headers, body, repeatable: this.#isQuestion }, this)
    if (this.#isHandshake) this.#opening()
  }

  /** The client continues a request of an earlier session, by the last event that it had. */
  #resume(token: string): void {
    this.#pending.record.fate = "dispatched"
    const answer = new AnswerStream(this.#wire, this.#pending, () => this.onOver(), this.#options?.onresumptiontoken)
    answer.onSettled(() => this.onOver())
    answer.continueAfter(token)
  }

  maySend(): boolean {
    return this.#wire.maySend
  }

  onSending(): void {
    this.#pending.record.fate = "dispatched"
    this.#sentAt = this.#wire.now()
  }

  onHead(head: Head, exchange: Exchange): Body {
    const body = this.#read(head, exchange)
    this.#decided?.()
    return body
  }

  onFailure(failure: Failure.Failure): void {
    this.#pending.record.fate = failure.unsent ? "unsent" : "dispatched"
    const evidence = Failure.evidenceOf(failure)
    this.#fail(evidence)
    // Those that wait for a connection would find out one after the other that none can be made.
    if (failure.unsent) this.#wire.cannotConnect(evidence)
  }

  /** It needs no connection any more, nor a place in the queue for one, unless its stream broke and is resumed on others. */
  onOver(): void {
    if (this.#isRepeated) return void (this.#isRepeated = false)
    this.#decided?.()
    const leave = () => this.#wire.calls.leave(this)
    if (this.#stream === undefined) leave()
    else this.#stream.onSettled(leave)
  }

  #opening(): void {
    const response = new Promise<void>((resolve) => {
      this.#decided = resolve
    })
    this.#wire.opening({ exchange: this.#exchange, response })
  }

  #fail(evidence: Evidence.Evidence, error: Error = Failure.errorOf(evidence)): void {
    if (!this.#wire.isOver) this.#wire.requests.fail(this.#pending, evidence, error)
  }

  #read(head: Head, exchange: Exchange): Body {
    const { status } = head
    if (this.#isHandshake && status >= 200 && status <= 299) this.#wire.sessionId = head.header("mcp-session-id")
    if (status < 200 || status > 599) return this.#notAnAnswer(exchange)
    if (status > 299) return this.#refused(head, exchange)
    switch (mediaType(head)) {
      case "text/event-stream":
        this.#stream = new AnswerStream(
          this.#wire,
          this.#pending,
          () => exchange.abort(),
          this.#options?.onresumptiontoken
        )
        return this.#stream
      case "application/json":
        return new JsonAnswer(this.#wire, this.#pending)
      default:
        return this.#notAnAnswer(exchange)
    }
  }

  #notAnAnswer(exchange: Exchange): Body {
    this.#fail(Evidence.transportFailure("protocol"))
    return Drain.nothing(() => exchange.abort())
  }

  /** A status instead of an answer. Its text is for the caller alone. */
  #refused(head: Head, exchange: Exchange): Body {
    const { record } = this.#pending
    const evidence = this.#wire.refusal(head)
    record.heardAt = this.#wire.now()
    record.fate = isRefusal(head.status) ? "refused" : "dispatched"
    if (record.fate === "refused") record.refusedAfter = record.heardAt - this.#sentAt
    const abort = () => exchange.abort()
    if (this.#challenged(head)) {
      this.#refresh(evidence)
      return Drain.body(abort)
    }
    return Drain.text((text) => this.#refusedWith(evidence, text), abort)
  }

  /** A refusal whose text may be an answer: in the modern era a status comes with one. */
  #refusedWith(evidence: Evidence.Refused, text: string): void {
    const refused = () => this.#fail(evidence, Failure.errorOf(evidence, text))
    if (this.#isNegotiation) return this.#refusedNegotiation(evidence, text, refused)
    const { id, modern, record } = this.#pending
    const era = this.#isHandshake ? Negotiation.otherEra(evidence.status, text) : undefined
    if (era !== undefined) {
      record.met("refused", era)
      return this.#fail(era, Failure.errorOf(evidence, text))
    }
    const answer = modern && hasAnswer.has(evidence.status) ? Negotiation.answerIn(text, id) : undefined
    if (answer === undefined) refused()
    else this.#wire.receive(answer, text.length, id)
  }

  #refusedNegotiation(evidence: Evidence.Refused, text: string, refused: () => void): void {
    const refusal = Negotiation.refusal(evidence.status, text)
    if (refusal._tag === "Failed") return refused()
    const { id, record } = this.#pending
    const error = refusal._tag === "Word" ? refusal.error : Negotiation.unknownMethod
    this.#wire.receive({ jsonrpc: "2.0", id, error }, text.length, id)
    if (refusal._tag === "Word") return
    this.#wire.doubtfulEra = evidence
    record.met("refused", evidence)
  }

  /** Whether another token may be had, with which the request is sent again here: whether a call is, is the core's matter. */
  #challenged(head: Head): boolean {
    if (!isChallenge(head) || this.#wire.authorization === undefined) return false
    this.#wire.authorization.challenged(head)
    return !this.#pending.guarded && !this.#hasRefreshed
  }

  #refresh(evidence: Evidence.Evidence): void {
    this.#hasRefreshed = true
    this.#isRepeated = true
    const refused = () => this.#unsent(evidence)
    this.#wire.authorization?.refresh().then((isOther) => (isOther ? this.begin() : refused()), refused)
  }
}

/** Statuses that MCP 2026-07-28 gives to an answer that is an error. */
const hasAnswer: ReadonlySet<number> = new Set([400, 404])

const isChallenge = ({ status }: Head): boolean => status === 401 || status === 403

/** Whether the status says that the request was not processed; that of 301, 302 and 303 says the contrary, or nothing. */
const isRefusal = (status: number): boolean => status === 307 || status === 308 || (status >= 400 && status <= 499)

/** Sends what has no answer. */
const transmit = (wire: Wire, message: Message.Notification | Message.Answer): Promise<void> =>
  new Promise((resolve, reject) => new Telling(wire, message, resolve, reject).start())

/** A notification, or an answer of ours, on its way. */
class Telling implements Waiter, Asker {
  hasSlot = false
  readonly #wire: Wire
  readonly #message: Message.Notification | Message.Answer
  readonly #resolve: () => void
  readonly #reject: (error: Error) => void
  #exchange: Exchange | undefined = undefined
  #timer: NodeJS.Timeout | undefined = undefined
  #isOver = false
  #hasRefreshed = false
  #isRepeated = false

  constructor(
    wire: Wire,
    message: Message.Notification | Message.Answer,
    resolve: () => void,
    reject: (error: Error) => void
  ) {
    this.#wire = wire
    this.#message = message
    this.#resolve = resolve
    this.#reject = reject
  }

  start(): void {
    const bound = this.#bound()
    if (bound !== undefined) this.#timer = setTimeout(() => this.#end(Evidence.transportFailure("timeout")), bound)
    this.#wire.telling.take(this)
  }

  dismissed(): void {
    this.#end(closed)
  }

  #bound(): number | undefined {
    if (Message.isAnswer(this.#message)) return Duration.toMillis(this.#wire.limits.answerTimeout)
    return this.#message.method === "notifications/cancelled" ? cancellationTime : undefined
  }

  begin(): void {
    const { authorization } = this.#wire
    if (authorization === undefined) return this.#send(undefined)
    authorization.token().then(
      (token) => this.#send(token),
      () => this.#end(Evidence.transportFailure("auth"))
    )
  }

  #send(token: string | undefined): void {
    if (this.#isOver) return
    if (this.#wire.isOver) return this.#end(closed)
    const headers = this.#wire.headers(accepted, token)
    headers["content-type"] = "application/json"
    const body = JSON.stringify(this.#message)
    this.#exchange = this.#wire.exchange({ method: "POST", headers, body, repeatable: true }, this)
  }

  /** A cancellation ends what this side has begun. */
  maySend(): boolean {
    return this.#wire.maySend || ("method" in this.#message && this.#message.method === "notifications/cancelled")
  }

  onHead(head: Head, exchange: Exchange): Body {
    this.#read(head)
    return Drain.body(() => exchange.abort())
  }

  onFailure(failure: Failure.Failure): void {
    this.#end(Failure.evidenceOf(failure))
  }

  /** A response that is taken away is none; that of an exchange which is made again has been read. */
  onOver(): void {
    if (this.#isRepeated) this.#isRepeated = false
    else this.#end(closed)
  }

  #read(head: Head): void {
    if (head.status >= 200 && head.status <= 299) return this.#end(undefined)
    const evidence = this.#wire.refusal(head)
    const { authorization } = this.#wire
    if (!isChallenge(head) || authorization === undefined || this.#hasRefreshed) return this.#end(evidence)
    this.#hasRefreshed = true
    this.#isRepeated = true
    authorization.challenged(head)
    authorization.refresh().then(
      (isOther) => (isOther ? this.begin() : this.#end(evidence)),
      () => this.#end(evidence)
    )
  }

  /** It was taken, or `failure` says why not. What holds its connection gives it back. */
  #end(failure: Evidence.Evidence | undefined): void {
    if (this.#isOver) return
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#wire.telling.leave(this)
    if (Message.isAnswer(this.#message) && this.#message.id !== undefined)
      this.#wire.incoming.answered(this.#message.id)
    if (failure === undefined) return this.#resolve()
    if (!this.#wire.isOver) this.#wire.stray = failure
    if (failure._tag === "TransportFailure") this.#exchange?.abort()
    this.#reject(Failure.errorOf(failure))
  }
}

const closed = Evidence.transportFailure("closed")
