/**
 * The requests of one session: which are under way, what each holds, and how it ended.
 *
 * It stands between the SDK's `Client` and its transport: {@link Requests.send} sees what goes out,
 * {@link Requests.attach} what comes in. A request ends exactly once: by the server's answer, by its caller, or here,
 * where no answer will come. Nothing of it is left in the SDK then.
 */
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import type { JSONRPCMessage } from "@modelcontextprotocol/sdk/types.js"
import { ErrorCode } from "@modelcontextprotocol/sdk/types.js"
import { Evidence } from "@vmcp-keepalive/core"
import * as Message from "./Message.ts"
import { Record } from "./RequestRecord.ts"

/** A request that waits for its answer. */
export interface Pending {
  readonly id: Message.Id
  /** the transport writes its `fate` when it sends: `dispatched` as soon as a byte may have reached the server */
  readonly record: Record
  /** the URI, where the request subscribes to a resource or ends a subscription */
  readonly uri: string | undefined
  /** whether the server is not told that nobody waits any more */
  readonly silent: boolean
  /** frees what the request holds, such as a socket; set by the transport, called when nobody waits any more */
  release: (() => void) | undefined
}

/** What a request is recognized by when the client hands it to the transport, at once or later: `JSON` does not see it. */
const tag = Symbol("vmcp-keepalive/Tracked")

/** A request that is about to be made. */
class Tracked {
  readonly record: Record
  readonly silent: boolean

  constructor(record: Record, silent: boolean) {
    this.record = record
    this.silent = silent
  }
}

/** See the module. One for each session. */
export class Requests {
  readonly #pending = new Map<Message.Id, Pending>()
  /** the requests under way, by their ids */
  readonly pending: ReadonlyMap<Message.Id, Pending> = this.#pending
  /** what becomes of `initialize`, which the client sends on its own */
  readonly handshake = new Record("initialize")

  readonly #subscriptions: Set<string>
  #transport: Pick<Transport, "onmessage"> | undefined = undefined
  /** those that the transport has not been handed yet: of a client that does something else first */
  readonly #expected = new Set<Tracked>()
  #closed = false

  /** `subscriptions` are those of the `SessionHost`: changed as the server answers. */
  constructor(subscriptions: Set<string>) {
    this.#subscriptions = subscriptions
  }

  /** Sees every message that comes from the server before the client does. To be called before the client connects. */
  attach(transport: Pick<Transport, "onmessage">): void {
    // The client calls this before its own handler.
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the SDK's transport is no EventTarget
    transport.onmessage = (message) => this.#received(message)
    this.#transport = transport
  }

  /** Why the handshake failed: `answer` where the server answered, but with nothing that the client takes for MCP. */
  handshakeFailure(answer: Evidence.Evidence = Evidence.transportFailure("protocol")): Evidence.Evidence {
    const { evidence } = this.handshake
    return evidence?._tag === "Answered" ? answer : (evidence ?? Evidence.transportFailure("unknown"))
  }

  /**
   * Makes a request: `send` hands it to the client, and what becomes of it is written into the record. With `silent` the
   * server is not told when nobody waits for it any more.
   */
  track<Request extends object, A>(
    record: Record,
    silent: boolean,
    request: Request,
    send: (request: Request) => Promise<A>
  ): Promise<A> {
    const tracked = new Tracked(record, silent)
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
      const result = send({ ...request, [tag]: tracked })
      // before anything that the caller attaches
      result.then(succeeded, settled)
      return result
    } catch (error) {
      settled()
      throw error
    }
  }

  /**
   * What the SDK transport's `send` has to do with a message; `transmit` really sends it, and gets the request if it is
   * one. A request whose `transmit` rejects is settled: with the evidence that the transport wrote down, or `unknown`. The
   * cancellation of a silent request is not sent, nor is that of one that is not under way or was never sent.
   */
  send(
    message: JSONRPCMessage | Array<JSONRPCMessage>,
    transmit: (pending: Pending | undefined) => Promise<void>
  ): Promise<void> {
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined) {
      const pending = this.#cancel(cancelled)
      const isKnown = pending !== undefined && !pending.silent && pending.record.fate !== "unsent"
      return isKnown ? transmit(undefined) : Promise.resolve()
    }
    if (Array.isArray(message) || !("method" in message) || !("id" in message)) return transmit(undefined)
    // who is told that nothing of a request was sent may send it again, on another session
    if (this.#closed) return Promise.reject(new Error("Not connected"))
    const pending = this.#sending(message)
    const sent = transmit(pending)
    // The client attaches its own handler as soon as this returns, so it rejects the request with the real error first.
    queueMicrotask(() => {
      sent.catch(() => {
        pending.record.evidence ??= Evidence.transportFailure("unknown")
        this.#settle(pending, "The request could not be sent")
      })
    })
    return sent
  }

  /** The transport is handed a request. One that it hands on to itself again, with new credentials, keeps its record. */
  #sending(message: {
    readonly id: Message.Id
    readonly method: string
    readonly params?: object | undefined
  }): Pending {
    const known = this.#pending.get(message.id)
    if (known !== undefined) return known
    const { record, silent } =
      message.method === "initialize"
        ? { record: this.handshake, silent: true }
        : (this.#trackedAs(message) ?? new Tracked(new Record(message.method), false))
    const uri =
      message.params !== undefined && "uri" in message.params && typeof message.params.uri === "string"
        ? message.params.uri
        : undefined
    const pending: Pending = { id: message.id, record, uri, silent, release: undefined }
    this.#pending.set(message.id, pending)
    return pending
  }

  /**
   * As what a request was tracked. A client that makes another request of the one that it was given (a subclass,
   * instrumentation) loses the tag: then it is the one that is expected, or may be any of several, none of which may be
   * taken for unsent any more.
   */
  #trackedAs(message: { readonly method: string; readonly [tag]?: unknown }): Tracked | undefined {
    const tagged = message[tag]
    if (tagged instanceof Tracked) {
      this.#expected.delete(tagged)
      return tagged
    }
    const candidates = [...this.#expected].filter(({ record }) => record.method === message.method)
    for (const { record } of candidates) record.fate = "dispatched"
    const [only, ...others] = candidates
    if (only === undefined || others.length > 0) return undefined
    this.#expected.delete(only)
    return only
  }

  /** A message came from the server. An answer to what is not under way changes nothing. */
  #received(message: JSONRPCMessage): void {
    const pending = this.answeredBy(message)
    if (pending === undefined) return
    this.#pending.delete(pending.id)
    if ("error" in message) return pending.record.met("answered", Evidence.errorAnswer(message.error.code))
    pending.record.met("answered", Evidence.answered)
    if (pending.uri === undefined) return
    if (pending.record.method === "resources/subscribe") this.#subscriptions.add(pending.uri)
    if (pending.record.method === "resources/unsubscribe") this.#subscriptions.delete(pending.uri)
  }

  /** The request under way that a message from the server answers, if it answers one. */
  answeredBy(message: JSONRPCMessage): Pending | undefined {
    if ("method" in message || message.id === undefined) return undefined
    return this.#pending.get(Number(message.id))
  }

  /**
   * No answer will come, or came that can be handed on: the request fails here and now, with that evidence; its caller
   * gets an error with `message`.
   */
  fail(pending: Pending, evidence: Evidence.Evidence, message: string): void {
    if (this.#pending.get(pending.id) !== pending) return
    pending.record.evidence = evidence
    this.#settle(pending, message)
  }

  /**
   * Takes a request off the list and off the SDK, which keeps the handler of one that could not be sent. Its caller gets
   * an error with `message`, unless it has one; the record stays as it is.
   */
  #settle(pending: Pending, message: string): void {
    if (this.#pending.get(pending.id) !== pending) return
    // First: what is under way no more is not taken for answered by the message that follows.
    this.#pending.delete(pending.id)
    const error = { code: ErrorCode.ConnectionClosed, message }
    this.#transport?.onmessage?.({ jsonrpc: "2.0", id: pending.id, error })
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
   * freed. The callers get their error from the client, when the transport tells it (`onclose`). What the client hands to the
   * transport from now on is not sent.
   */
  close(evidence: Evidence.Evidence = Evidence.transportFailure("closed")): void {
    this.#closed = true
    for (const { record } of this.#pending.values()) record.evidence ??= evidence
    for (const { release } of this.#pending.values()) release?.()
  }
}
