/**
 * The requests of one session: which are under way, what each holds, and how it ended.
 *
 * It stands between a client and its transport: {@link Requests.send} sees what goes out, {@link Requests.received} what comes
 * in. A request ends exactly once: by the server's answer, by its caller, or here, where no answer will come. Nothing of it is
 * left in the client then. What the transport asks on its own account ({@link Requests.ask}) is answered here, and no client
 * sees it.
 */
import { Evidence } from "@vmcp-keepalive/core"
import * as Message from "./Message.ts"
import { ofRequest, Record } from "./RequestRecord.ts"

/**
 * A request that waits for its answer.
 *
 * @since 0.1.0
 */
export interface Pending {
  readonly id: Message.Id
  /** the transport writes its `fate` when it sends: `dispatched` as soon as a byte may have reached the server */
  readonly record: Record
  /** the URI, where the request subscribes to a resource or ends a subscription */
  readonly uri: string | undefined
  /** whether the server is not told that nobody waits any more; a transport may set it that tells it in a way of its own */
  silent: boolean
  /** whether the transport itself asks, and no client */
  readonly own: boolean
  /** whether it is part of a call, of which the core decides whether it may be sent again */
  readonly guarded: boolean
  /** whether it follows a revision of the modern era (MCP 2026-07-28, or later), and says so in its `_meta` */
  readonly modern: boolean
  /** frees what the request holds, such as a socket; set by the transport, called when it has ended or nobody waits any more */
  release: (() => void) | undefined
  /** who waits for it is told: of its answer, or why there is none */
  readonly settle: (answer: Message.Answer | Error) => void
}

/** Whose a request is, and who is told of its cancellation. */
type Manner = Pick<Pending, "silent" | "own" | "guarded">

const unguarded: Manner = { silent: false, own: false, guarded: false }
const handshaking: Manner = { silent: true, own: false, guarded: false }
const guarded: Manner = { silent: false, own: false, guarded: true }
const guardedSilent: Manner = { silent: true, own: false, guarded: true }

/** A class, and no literal: V8 makes literals that it has seen to survive in the old generation, where only a full collection finds them. */
class Waiting implements Pending {
  readonly id: Message.Id
  readonly record: Record
  readonly uri: string | undefined
  silent: boolean
  readonly own: boolean
  readonly guarded: boolean
  readonly modern: boolean
  release: (() => void) | undefined = undefined
  readonly settle: Pending["settle"]

  constructor(message: Message.Request, record: Record, { guarded, own, silent }: Manner, settle: Pending["settle"]) {
    const uri = message.params?.["uri"]
    this.id = message.id
    this.record = record
    this.uri = typeof uri === "string" ? uri : undefined
    this.silent = silent
    this.own = own
    this.guarded = guarded
    this.modern = Message.revisionOf(message) !== undefined
    this.settle = settle
  }
}

/** What a request is recognized by when the client hands it to the transport, at once or later: `JSON` does not see it. */
const tag = Symbol("vmcp-keepalive/Tracked")

/** A request that is about to be made. */
class Tracked {
  readonly record: Record
  readonly silent: boolean
  /** takes the record of a further leg: the client may answer what the server asks for by sending the request again */
  readonly further: ((record: Record) => void) | undefined
  sent = false

  constructor(record: Record, silent: boolean, further: ((record: Record) => void) | undefined) {
    this.record = record
    this.silent = silent
    this.further = further
  }
}

/**
 * A request as it is asked for.
 *
 * @since 0.1.0
 */
export interface Question {
  readonly method: string
  readonly params?: Message.Params | undefined
}

/**
 * A request of the transport's own.
 *
 * @since 0.1.0
 */
export interface Own extends Question {
  /** what becomes of it */
  readonly record: Record
  /** whether a cancellation of it that is sent ({@link Requests.send}) reaches the server; default false: it may be frozen */
  readonly cancellable?: boolean | undefined
  /** Is told the id that it has on the wire, before it is sent. */
  readonly onId?: ((id: Message.Id) => void) | undefined
}

/**
 * What is known of a message of the server's beside what it says.
 *
 * @since 0.1.0
 */
export interface About {
  /** the request on whose answer stream it came, where streams are told apart */
  readonly relatedRequestId?: Message.Id | undefined
}

/**
 * What a client says of a message that it sends, in the words of the SDK's `TransportSendOptions`.
 *
 * @since 0.1.0
 */
export interface SendOptions {
  /** the request of the server's that the message belongs to */
  readonly relatedRequestId?: Message.Id | undefined
  /** continues a request whose stream was cut: the id of the last event that came */
  readonly resumptionToken?: string | undefined
  /** is told the id of each event of the answer */
  readonly onresumptiontoken?: ((token: string) => void) | undefined
  /** nobody waits for the answer any more: says so instead of a message, where a request has a stream of its own */
  readonly requestSignal?: AbortSignal | undefined
  /** HTTP headers for this request alone, as those that mirror its parameters */
  readonly headers?: { readonly [name: string]: string } | undefined
}

/**
 * The `_meta` of a request.
 *
 * @since 0.1.0
 */
export type Meta = NonNullable<Message.Params["_meta"]>

/**
 * What is between the requests and the server on one side, and the client on the other.
 *
 * @since 0.1.0
 */
export interface Wire {
  /**
   * Sends a request; what becomes of it is told by {@link Requests.received} or {@link Requests.fail}. One that throws has not
   * sent it.
   */
  readonly request: (message: Message.Request, pending: Pending, options?: SendOptions) => void
  /** Sends a notification or an answer; rejects where the server did not take it. */
  readonly transmit: (message: Message.Notification | Message.Answer, options?: SendOptions) => Promise<void>
  /** Hands a message to the client. */
  readonly deliver: (message: Message.Message, about?: About) => void
}

/**
 * The ids of the transport's own requests begin here: clients count theirs from zero, and servers that keep ids in 32 bits
 * can keep these.
 */
const firstOwnId = 1_000_000_000

/** JSON-RPC's code for errors made on this side, as clients know it (`ConnectionClosed`). */
const connectionClosed = -32000

/**
 * See the module. One for each session.
 *
 * @since 0.1.0
 */
export class Requests {
  readonly #pending = new Map<Message.Id, Pending>()
  /** the requests under way, by their ids */
  readonly pending: ReadonlyMap<Message.Id, Pending> = this.#pending
  /** what becomes of what the client sends on its own to connect */
  handshake = new Record("initialize")
  /**
   * Whether the client keeps a handler of a request whose `send` rejected (SDK 1.x): then it gets an error answer as well, which
   * takes it away.
   */
  keepsHandlers = false

  /** the `_meta` of the last `server/discover` that the client sent to connect: what it says of itself in the modern era */
  #offered: Meta | undefined = undefined
  /** the `_meta` of every request, where the agreed revision is of the modern era */
  #agreed: Meta | undefined = undefined

  /** the resources that are subscribed to, in this session and in those that follow: those of the `SessionHost` */
  readonly subscriptions: Set<string>
  readonly #wire: Wire
  /** those that the transport has not been handed yet: of a client that does something else first */
  readonly #expected = new Set<Tracked>()
  /** failed requests of which the client still has a handler */
  readonly #forgotten: Array<Message.Id> = []
  #nextOwnId = firstOwnId
  #closed = false

  /** `subscriptions` are changed as the server answers, and in the modern era by the client. */
  constructor(subscriptions: Set<string>, wire: Wire) {
    this.subscriptions = subscriptions
    this.#wire = wire
  }

  /** Why the handshake failed: `answer` where the server answered, but with nothing that the client takes for MCP. */
  handshakeFailure(answer: Evidence.Evidence = Evidence.transportFailure("protocol")): Evidence.Evidence {
    const { evidence } = this.handshake
    return evidence?._tag === "Answered" ? answer : (evidence ?? Evidence.transportFailure("unknown"))
  }

  /** What the client has agreed on with the server: `legacy` until it has. */
  get era(): "legacy" | "modern" {
    return this.#agreed === undefined ? "legacy" : "modern"
  }

  /** The `_meta` with which the client asked which revisions the server knows; `undefined` where it did not ask. */
  get offered(): Meta | undefined {
    return this.#offered
  }

  /** The client has agreed with the server on a revision. From now on the transport's own requests follow it, too. */
  agreed(revision: string): void {
    this.#agreed =
      Message.isModern(revision) && this.#offered !== undefined
        ? { ...this.#offered, [Message.revisionKey]: revision }
        : undefined
  }

  // ------------------------------------------------------------------------------------------------- what goes out

  /**
   * Makes a request: `send` hands it to the client, and what becomes of it is written into the record. With `silent` the
   * server is not told when nobody waits for it any more. A client that sends it again to answer what the server asked for
   * gives each leg a record of its own, which `further` takes.
   */
  track<Request extends Question, A>(
    record: Record,
    silent: boolean,
    request: Request,
    send: (request: Request) => Promise<A>,
    further?: (record: Record) => void
  ): Promise<A> {
    const tracked = new Tracked(record, silent, further)
    const settled = () => {
      record.settled = true
      this.#expected.delete(tracked)
    }
    const succeeded = () => {
      settled()
      // of a client that makes other requests of its own: what was sent for this one is not known, but it has an answer
      if (record.fate === "dispatched" && record.evidence === undefined) record.met("answered", Evidence.answered)
    }
    this.#expected.add(tracked)
    try {
      // In the parameters where there are any: what the client makes of a request for a further leg has them, and nothing else.
      const tagged =
        request.params === undefined
          ? { ...request, [tag]: tracked }
          : { ...request, params: { ...request.params, [tag]: tracked } }
      const result = send(tagged)
      // before anything that the caller attaches
      result.then(succeeded, settled)
      return result
    } catch (error) {
      settled()
      throw error
    }
  }

  /**
   * Asks the server something on the transport's own account. `done` gets the result, or `undefined` where there is none, and the
   * answer as it came, or why none did; what became of it is in the record. What this returns ends the waiting: the server is told nothing, for it may be frozen.
   */
  ask(
    { cancellable = false, method, onId, params, record }: Own,
    done: (result: Message.Result | undefined, answer: Message.Answer | Error) => void
  ): () => void {
    if (this.#closed) {
      record.settled = true
      done(undefined, closed)
      return () => {}
    }
    const id = this.#nextOwnId++
    const own = this.#agreed === undefined ? params : { ...params, _meta: { ...this.#agreed, ...params?._meta } }
    const message: Message.Request = { jsonrpc: "2.0", id, method, ...(own === undefined ? {} : { params: own }) }
    onId?.(id)
    const settle = (answer: Message.Answer | Error) => {
      record.settled = true
      done("result" in answer ? answer.result : undefined, answer)
    }
    this.#begin(message, new Waiting(message, record, { silent: !cancellable, own: true, guarded: false }, settle))
    return () => void this.#cancel(id)
  }

  /**
   * What the `send` of a client's transport has to do with a message. That of a request resolves when the request is settled,
   * and rejects where no answer will come. The cancellation of a silent request is not sent, nor is that of one that is not
   * under way or was never sent.
   */
  send(message: Message.Message, options?: SendOptions): Promise<void> {
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined) {
      const pending = this.#cancel(cancelled)
      const isKnown = pending !== undefined && !pending.silent && pending.record.fate !== "unsent"
      return isKnown && !this.#closed ? this.#wire.transmit(message, options) : Promise.resolve()
    }
    // who is told that nothing of a request was sent may send it again, on another session
    if (this.#closed) return Promise.reject(new Error("Not connected"))
    if (!Message.isRequest(message)) return this.#wire.transmit(message, options)
    const signal = options?.requestSignal
    if (signal?.aborted === true) return Promise.reject(asError(signal.reason))
    return new Promise((resolve, reject) => {
      const settle = (answer: Message.Answer | Error) => {
        if (answer instanceof Error) {
          reject(answer)
          this.#forget(message.id)
        } else {
          resolve()
          this.#wire.deliver(answer)
        }
      }
      this.#begin(
        message,
        this.#made(message, signal === undefined ? settle : this.#until(signal, message.id, settle)),
        options
      )
    })
  }

  /** Cancels a request when its signal is aborted, as long as it is under way. */
  #until(signal: AbortSignal, id: Message.Id, settle: Pending["settle"]): Pending["settle"] {
    const aborted = () => void this.#cancel(id)
    signal.addEventListener("abort", aborted, { once: true })
    return (answer) => {
      signal.removeEventListener("abort", aborted)
      settle(answer)
    }
  }

  #begin(message: Message.Request, pending: Pending, options?: SendOptions): void {
    this.#pending.set(message.id, pending)
    try {
      this.#wire.request(message, pending, options)
    } catch (error) {
      this.fail(pending, pending.record.evidence ?? Evidence.transportFailure("unknown"), asError(error))
    }
  }

  /**
   * The client has been told why its request failed by what `send` returned, but keeps its handler (SDK 1.x), which an answer
   * takes away: one that the client hears after the error. In a turn of its own, since where thousands fail at once their callers
   * come first, and where it is the session that has ended the client forgets them by itself.
   */
  #forget(id: Message.Id): void {
    if (!this.keepsHandlers) return
    this.#forgotten.push(id)
    if (this.#forgotten.length > 1) return
    setImmediate(() => {
      const ids = this.#forgotten.splice(0)
      if (this.#closed) return
      for (const id of ids) {
        try {
          this.#wire.deliver({ jsonrpc: "2.0", id, error: forgotten })
        } catch {
          // The client tells the user where it has forgotten by itself meanwhile: what that throws would end the process.
        }
      }
    })
  }

  /** A request of the client's, as what it was made. */
  #made(message: Message.Request, settle: Pending["settle"]): Pending {
    const tracked = this.#trackedAs(message)
    if (tracked === undefined) {
      if (!handshakes.has(message.method)) return new Waiting(message, ofRequest(message), unguarded, settle)
      // the client sends it by itself, to connect; one that negotiates sends one after the other
      this.handshake = ofRequest(message)
      this.#offered = message.method === "server/discover" ? message.params?._meta : this.#offered
      return new Waiting(message, this.handshake, handshaking, settle)
    }
    const about = tracked.silent ? guardedSilent : guarded
    if (!tracked.sent) {
      tracked.sent = true
      return new Waiting(message, tracked.record, about, settle)
    }
    const leg = new Record(tracked.record.method, tracked.record.tool)
    tracked.further?.(leg)
    return new Waiting(message, leg, about, settle)
  }

  /**
   * As what a request was tracked. A client that makes another request of the one that it was given (a subclass,
   * instrumentation) loses the tag: then it is the one that is expected, or may be any of several, none of which may be
   * taken for unsent any more.
   */
  #trackedAs(message: Message.Request & { readonly [tag]?: unknown }): Tracked | undefined {
    const tagged = message[tag] ?? (message.params as { readonly [tag]?: unknown } | undefined)?.[tag]
    if (tagged instanceof Tracked) {
      this.#expected.delete(tagged)
      return tagged
    }
    if (this.#expected.size === 0) return undefined
    const candidates = [...this.#expected].filter(({ record }) => record.method === message.method)
    for (const { record } of candidates) record.fate = "dispatched"
    const [only, ...others] = candidates
    if (only === undefined || others.length > 0) return undefined
    this.#expected.delete(only)
    return only
  }

  // ------------------------------------------------------------------------------------------------- what comes in

  /** A message came from the server. An answer to what is not under way reaches nobody. */
  received(message: Message.Message, about?: About): void {
    if (!Message.isAnswer(message)) return this.#wire.deliver(message, about)
    const pending = this.answeredBy(message)
    if (pending === undefined) return
    this.#pending.delete(pending.id)
    const { record } = pending
    if ("error" in message) {
      record.met("answered", Evidence.errorAnswer(message.error.code))
    } else {
      // In the modern era every result says what it is. One that does not comes from a server of another era, which may have done
      // what it was asked nevertheless.
      const isForeign = pending.modern && !("resultType" in message.result)
      record.met("answered", isForeign ? Evidence.transportFailure("protocol") : Evidence.answered)
      // what the transport subscribes to on its own account, it keeps itself
      if (pending.uri !== undefined && !pending.own) this.#subscribed(record.method, pending.uri)
    }
    pending.release?.()
    // the id as it was sent: some servers send "7" for 7
    pending.settle(message.id === pending.id ? message : { ...message, id: pending.id })
  }

  #subscribed(method: string, uri: string): void {
    if (method === "resources/subscribe") this.subscriptions.add(uri)
    if (method === "resources/unsubscribe") this.subscriptions.delete(uri)
  }

  /** The request under way that a message from the server answers, if it answers one. */
  answeredBy(message: Message.Message): Pending | undefined {
    if ("method" in message || message.id === undefined) return undefined
    const { id } = message
    return (
      this.#pending.get(id) ?? (typeof id === "string" && decimal.test(id) ? this.#pending.get(Number(id)) : undefined)
    )
  }

  /** No answer will come, or came that can be handed on: the request fails here and now, with that evidence and error. */
  fail(pending: Pending, evidence: Evidence.Evidence, error: Error): void {
    if (this.#pending.get(pending.id) !== pending) return
    this.#pending.delete(pending.id)
    pending.record.evidence = evidence
    pending.release?.()
    pending.settle(error)
  }

  /** The caller waits no longer: what the request holds is freed. `undefined` where it is not under way. */
  #cancel(id: Message.Id): Pending | undefined {
    const pending = this.#pending.get(id)
    if (pending === undefined) return undefined
    this.#pending.delete(id)
    pending.release?.()
    return pending
  }

  /**
   * The session ends: what is under way and has no evidence gets this one, `closed` by default, and all that is held is
   * freed. The callers get their error from the client, when the transport tells it (`onclose`); an answer that was on its way
   * reaches them until then. What the client hands to the transport from now on is not sent.
   */
  close(evidence: Evidence.Evidence = Evidence.transportFailure("closed")): void {
    if (this.#closed) return
    this.#closed = true
    const all = [...this.#pending.values()]
    for (const { record } of all) record.evidence ??= evidence
    for (const { release } of all) release?.()
    for (const { id, own, settle } of all) {
      if (!own) continue
      this.#pending.delete(id)
      settle(closed)
    }
  }
}

const closed = new Error("The session has ended")

/** An id as some servers send it for a number. Not all that `Number` takes for one: "" would be 0. */
const decimal = /^\d+$/

const forgotten = { code: connectionClosed, message: "The request failed" }

/** What a client sends to connect, before anybody makes requests of it. */
const handshakes: ReadonlySet<string> = new Set(["initialize", "server/discover"])

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)))
