/**
 * The wire of a session over stdio: what the client says to a child process that somebody else starts, watches and ends, and what
 * the child says to it.
 */
import type { Connector } from "@vmcp-keepalive/core"
import { Evidence } from "@vmcp-keepalive/core"
import {
  Ask,
  ClientTransport,
  IncomingRequests,
  type Listening,
  ListenStream,
  Message as Messages,
  type Requests
} from "@vmcp-keepalive/sdk-client/peer"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type { Reader } from "./childProcess.ts"
import { Handshake } from "./handshake.ts"
import type { StdioLimits } from "./limits.ts"
import { type Line, LineSplitter } from "./lines.ts"
import * as Message from "./message.ts"
import { Outbox, passed, type Waiting } from "./outbox.ts"

/** What a wire is made of. */
export interface Options {
  readonly host: Connector.SessionHost
  readonly limits: StdioLimits
  /** how long the server may leave the question for its era unanswered, in milliseconds; `undefined`: without a bound */
  readonly patience: number | undefined
  /** monotonic milliseconds */
  readonly now: () => number
  /** runs what belongs to the session beside its calls, until the session ends */
  readonly fork: (effect: Effect.Effect<void>) => void
}

/** See the module. One for each session. */
export class Wire {
  /** what the client is connected to */
  readonly transport: ClientTransport.ClientTransport
  readonly requests: Requests.Requests
  /** what the client sends to connect */
  readonly handshake: Handshake
  /** what is written to the child */
  readonly outbox: Outbox
  /** Succeeds when the server has exceeded a limit of the session, with a phrase that says which: nobody hears it any more. */
  readonly overflowed = Deferred.makeUnsafe<string>()
  /** is told that the client is closed */
  onClosed: () => void = () => {}

  /** what listening to changes needs */
  readonly listening: Omit<Listening.Port, "capabilities">

  readonly #host: Connector.SessionHost
  readonly #limits: StdioLimits
  readonly #lines: LineSplitter
  readonly #incoming: IncomingRequests.IncomingRequests
  /** the clocks of answers that wait for the server to read */
  readonly #clocks = new Set<NodeJS.Timeout>()
  #state: "open" | "stopped" | "closed" | "overflowed" = "open"
  #overflow: Evidence.Evidence | undefined = undefined
  #garbage = 0
  #judging = false

  constructor({ fork, host, limits, now, patience }: Options) {
    this.#host = host
    this.#limits = limits
    this.#lines = new LineSplitter(limits.messageBytes, (line) => this.#take(line))
    this.#incoming = new IncomingRequests.IncomingRequests({
      // looked at in `#judgeLater`
      inHand: Number.POSITIVE_INFINITY,
      bytes: mostInHand(limits),
      perSecond: limits.serverRequestsPerSecond,
      cancelledFor: Duration.toMillis(limits.answerTimeout),
      now: () => performance.now()
    })
    this.outbox = new Outbox(limits.unwrittenBytes)
    this.transport = new ClientTransport.ClientTransport({
      subscriptions: host.subscriptions,
      listChanged: (kind) => host.listChanged(kind),
      request: (message, pending) => this.#request(message, pending),
      transmit: (message) => this.#transmit(message),
      closed: () => this.#closed()
    })
    // SDK 2.x knows a transport over stdio by these: there is no stream for each request, and no header of a parameter
    Object.assign(this.transport, { stderr: null, pid: null })
    this.requests = this.transport.requests
    this.handshake = new Handshake(this.requests, patience)
    this.listening = {
      transport: this.transport,
      host,
      now,
      fork,
      subscribed: host.subscriptions,
      receive: (notification) => this.#deliver(notification),
      isOpened: () => this.handshake.isOver,
      isOver: () => this.#state !== "open"
    }
  }

  // ------------------------------------------------------------------------------------------------- what goes out

  /** A request; its record tells when it may have reached the server. */
  #request(message: Messages.Request, pending: Requests.Pending): void {
    if (ListenStream.isOne(message, pending)) return ListenStream.ofClient(this.listening, message, pending)
    const { record } = pending
    const waiting = this.#state === "open" ? this.#write(message, false, () => (record.fate = "dispatched")) : undefined
    if (waiting === undefined) {
      record.evidence ??= this.#overflow
      throw new Error(this.#overflow === undefined ? "Not connected" : "The server does not read")
    }
    if (waiting !== passed) pending.release = waiting.drop
    this.handshake.sent(message, pending)
  }

  /** A notification or an answer. Resolves when its turn has come, so that whoever sends many waits for a child that does not read. */
  #transmit(message: Messages.Notification | Messages.Answer): Promise<void> {
    if (this.#state === "closed" || this.#state === "overflowed") return Promise.reject(new Error("Not connected"))
    const isAnswer = !("method" in message)
    if (isAnswer && message.id !== undefined) this.#incoming.answered(message.id)
    let clock: NodeJS.Timeout | undefined
    const waiting = this.#write(message, isAnswer, () => this.#stopClock(clock))
    if (waiting === undefined || waiting === passed) return passed.turn
    if (isAnswer) clock = this.#startClock()
    return waiting.turn
  }

  /** As the message is now, whatever its sender does to it while it waits. */
  #write(message: Messages.Message, isAnswer: boolean, taken: () => void): Waiting | undefined {
    const waiting = this.outbox.add({ text: `${JSON.stringify(message)}\n`, isAnswer, taken })
    if (waiting === undefined)
      this.#exceeded(`left more than ${this.#limits.unwrittenBytes} bytes unread (limits.unwrittenBytes)`)
    this.#judgeLater()
    return waiting
  }

  #startClock(): NodeJS.Timeout {
    const millis = Duration.toMillis(this.#limits.answerTimeout)
    const clock = setTimeout(
      () => this.#exceeded(`left an answer unread for ${millis} ms (limits.answerTimeout)`),
      millis
    )
    this.#clocks.add(clock)
    return clock
  }

  #stopClock(clock: NodeJS.Timeout | undefined): void {
    if (clock === undefined) return
    clearTimeout(clock)
    this.#clocks.delete(clock)
  }

  #stopClocks(): void {
    for (const clock of this.#clocks) this.#stopClock(clock)
  }

  /**
   * Looks, in the next turn of the event loop, at how many requests of the server's and answers to them there are: what came in
   * one piece, after this process was held up perhaps, gets a turn to be answered and written first.
   */
  #judgeLater(): void {
    const { serverRequests } = this.#limits
    if (this.#judging || Math.max(this.#incoming.size, this.outbox.answers) <= serverRequests) return
    this.#judging = true
    setImmediate(() => {
      this.#judging = false
      if (this.#incoming.size > serverRequests) this.#exceeded(tooMany(this.#limits).inHand)
      else if (this.outbox.answers > serverRequests)
        this.#exceeded(`left more than ${serverRequests} answers unread (limits.serverRequests)`)
    })
  }

  // -------------------------------------------------------------------------------------------------------- its end

  /** The server has exceeded a limit: what it says, and what was to be said to it, is given up. */
  #exceeded(summary: string): void {
    if (this.#state !== "open") return
    this.#state = "overflowed"
    this.#overflow = Evidence.transportFailure("overflow", { summary, output: [] })
    this.outbox.close()
    this.#stopClocks()
    Deferred.doneUnsafe(this.overflowed, Exit.succeed(summary))
  }

  /**
   * The session ends: a request that has not left yet never does, since it may be sent on another one. What the child
   * says is for those who wait for an answer, and no longer for the handlers of the user's.
   */
  stop(evidence?: Evidence.Evidence): void {
    if (this.#state === "open") this.#state = "stopped"
    this.handshake.end()
    this.requests.close(evidence)
  }

  #closed(): void {
    this.stop()
    if (this.#state !== "overflowed") this.#state = "closed"
    this.#stopClocks()
    this.onClosed()
  }

  // ------------------------------------------------------------------------------------------------- what comes in

  /** What the child writes to stdout. */
  readonly stdout: Reader = {
    push: (chunk) => {
      if (this.#isDeaf()) return
      this.#host.alive()
      this.#lines.push(chunk)
      this.#noticeGarbage()
    },
    end: () => {
      if (this.#isDeaf()) return
      this.#lines.end()
      this.#noticeGarbage()
    }
  }

  /** Whether nobody waits for anything that the child says: a flood that goes on to its end costs no more than its reading. */
  #isDeaf(): boolean {
    return this.#state === "overflowed" || (this.#state !== "open" && this.requests.pending.size === 0)
  }

  /** What is garbage in one piece is told together, so that a flood of it is bounded. */
  #noticeGarbage(): void {
    if (this.#garbage > 0) this.#host.notice("garbage", this.#garbage)
    this.#garbage = 0
  }

  #take(line: Line): void {
    if (this.#isDeaf()) return
    const { found, garbage } = Message.read(line, this.#limits)
    // What the end of a session cuts off is none of the server's.
    if (garbage && this.#state === "open") this.#garbage++
    for (const one of found) {
      if (one._tag === "Unreadable") this.#refuse(this.#askedAs(one.id), one.because, one.overflow)
      else if (this.#admits(one)) this.#receive(one)
    }
  }

  #askedAs(id: Messages.Id): Requests.Pending | undefined {
    return this.requests.answeredBy({ jsonrpc: "2.0", id, result: {} })
  }

  /** Whether the client may get it: requests of the server's are counted. */
  #admits({ bytes, message }: Received): boolean {
    if (this.#state !== "open") return this.#state !== "overflowed" && this.requests.answeredBy(message) !== undefined
    if (!("method" in message)) return true
    const cancelled = Messages.cancelled(message)
    if (cancelled !== undefined) this.#incoming.cancelled(cancelled)
    if (!("id" in message)) return true
    const excess = this.#incoming.received(message.id, bytes)
    if (excess === undefined) this.#judgeLater()
    else this.#exceeded(tooMany(this.#limits)[excess])
    return excess === undefined
  }

  #receive({ bytes, message }: Received): void {
    const pending = this.requests.answeredBy(message)
    if (pending === undefined) this.handshake.unexpected(message)
    // the answer to a probe is short, that to a list is a list
    else if (bytes > this.#limits.probeBytes && pending.own && !Ask.isList(pending.record.method))
      return this.#refuse(pending, "The answer is longer than limits.probeBytes", true)
    this.#deliver(message)
  }

  #deliver(message: Messages.Message): void {
    try {
      this.requests.received(message)
    } catch {
      // What a handler of the user's throws must not end the reading: it has no better place to go to than where it comes from.
    }
  }

  /**
   * The server did answer, so that the request must not be sent again; but nobody can be given the answer. Where nobody but we
   * asked, what exceeds a limit is no answer.
   */
  #refuse(pending: Requests.Pending | undefined, because: string, isOverflow: boolean): void {
    if (pending === undefined) return
    const { own, record } = pending
    // a server that does not know the question says so in whatever way: it is as if it were silent, and is sent `initialize`
    if (!this.handshake.isOver && record.method === "server/discover") return
    record.fate = "answered"
    const isOurs = own || record === this.requests.handshake
    const evidence =
      isOurs && isOverflow ? Evidence.transportFailure("overflow", { summary: because, output: [] }) : Evidence.answered
    this.requests.fail(pending, evidence, new Error(because))
  }
}

type Received = Extract<Message.Found, { readonly _tag: "Message" }>

/** Bytes of all requests of the server's that are in hand: one as long as may be does not shut out another. */
const mostInHand = ({ messageBytes }: StdioLimits): number => 2 * messageBytes

/** What is said of a server that has too many requests, and by which setting. */
const tooMany = (limits: StdioLimits): { readonly [Excess in IncomingRequests.Excess]: string } => ({
  inHand: `has more than ${limits.serverRequests} requests in hand (limits.serverRequests)`,
  bytes: `has requests of more than ${mostInHand(limits)} bytes in hand (twice limits.messageBytes)`,
  perSecond: `sent more than ${limits.serverRequestsPerSecond} requests within a second (limits.serverRequestsPerSecond)`
})
