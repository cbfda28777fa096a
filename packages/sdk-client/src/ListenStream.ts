/**
 * The stream of a `subscriptions/listen` (MCP 2026-07-28), kept open as the standing stream of the revisions before is. To its client
 * it is one subscription, under the id that it chose; behind it is one request after the other, each under an id of its own, since a
 * request that was lost is sent again under another one.
 *
 * What changed while there was no stream is not known: once it is back, the client is told of each list and each resource that it
 * listens to.
 */
import { type Connector, Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { ClientTransport } from "./ClientTransport.ts"
import * as Message from "./Message.ts"
import * as Reopening from "./Reopening.ts"
import { ofRequest, type Record } from "./RequestRecord.ts"
import type { Pending } from "./Requests.ts"

/**
 * What a client wants to hear of, and what a server says that it will tell of: `SubscriptionFilter` of MCP.
 *
 * @since 0.1.0
 */
export type Filter = { readonly [what: string]: unknown }

/**
 * What was asked for of what a server says that it will tell of.
 *
 * @since 0.1.0
 */
export interface Honored {
  readonly toolsListChanged: boolean
  readonly promptsListChanged: boolean
  readonly resourcesListChanged: boolean
  readonly resourceSubscriptions: ReadonlyArray<string>
}

/**
 * What a stream needs of its session.
 *
 * @since 0.1.0
 */
export interface Port {
  readonly transport: ClientTransport
  readonly host: Pick<Connector.SessionHost, "notice" | "observe">
  /** monotonic milliseconds */
  readonly now: () => number
  /** runs what waits for the next connection, until the session ends */
  readonly fork: (effect: Effect.Effect<void>) => void
  /** hands a notification on as if the server had sent it */
  readonly receive: (notification: Message.Notification) => void
  /** whether the client is connected: one that connects waits for the acknowledgment no longer than a second */
  readonly isOpened: () => boolean
  /** whether the session is over */
  readonly isOver: () => boolean
}

/** Who listens: the client, or the session for its backend. */
interface Listener {
  /** of the first request */
  readonly record: Record
  /** whether it is asked again where the first request was refused */
  readonly isPatient: boolean
  /** a connection was acknowledged: the first, or one after a gap */
  readonly acknowledged: (said: Filter, honored: Honored) => void
  /** What the client is to get of a message that came, or that is told after a gap. */
  readonly heard: <Of extends Message.Request | Message.Notification>(message: Of, isTold: boolean) => Of
  /** there is no stream, and will be none */
  readonly gaveUp: (evidence: Evidence.Evidence, answer: Message.Answer | Error) => void
}

/**
 * A session that listens for its backend.
 *
 * @since 0.1.0
 */
export interface Hearing {
  /** the server tells of so much, from now on: the first time, or after a gap */
  readonly acknowledged: (honored: Honored) => void
  /** it tells of something, of which the client hears as well */
  readonly heard: (notification: Message.Notification) => void
  /** the server does not offer it */
  readonly gaveUp: () => void
}

/** How long a client that connects waits for the acknowledgment, in milliseconds: it does not connect before. */
const patience = 1000

const method = "subscriptions/listen"
const acknowledged = "notifications/subscriptions/acknowledged"

/**
 * Whether a request of the client's is one.
 *
 * @since 0.1.0
 */
export const isOne = (message: Message.Request, { modern, own }: Pending): boolean =>
  message.method === method && modern && !own

/**
 * Opens one for the client, which has made the request. It lives until the client ends it, the session ends, or the server does not
 * offer it.
 *
 * @since 0.1.0
 */
export const ofClient = (port: Port, { params = {} }: Message.Request, pending: Pending): void => {
  const { id } = pending
  const { requests } = port.transport
  // On the wire it has other ids: its end is told under them.
  pending.silent = true
  const named = <Of extends Message.Request | Message.Notification>(message: Of): Of => ({
    ...message,
    params: { ...message.params, _meta: { ...message.params?._meta, [Message.subscriptionKey]: id } }
  })
  let isTold = false
  let clock: NodeJS.Timeout | undefined
  const tell = (filter: Filter) => {
    clearTimeout(clock)
    if (isTold) return
    isTold = true
    port.receive(named({ jsonrpc: "2.0", method: acknowledged, params: { notifications: filter } }))
  }
  const stream = new ListenStream(port, params, {
    record: pending.record,
    get isPatient() {
      return isTold
    },
    acknowledged: tell,
    heard: named,
    gaveUp: (evidence, answer) => {
      if (answer instanceof Error) requests.fail(pending, evidence, answer)
      else requests.received({ ...answer, id })
    }
  })
  pending.release = () => {
    clearTimeout(clock)
    stream.end()
  }
  // made to connect: a server that never acknowledges must not keep the client from it
  if (!pending.guarded && !port.isOpened()) clock = setTimeout(() => tell(filterOf(params["notifications"])), patience)
  stream.start()
}

/**
 * Opens one for the session itself. It lives until what this returns is called, the session ends, or the server does not offer it; also
 * where the server has no room for it at first.
 *
 * @since 0.1.0
 */
export const ofSession = (
  port: Port,
  notifications: Filter,
  { acknowledged, gaveUp, heard }: Hearing
): (() => void) => {
  const stream = new ListenStream(
    port,
    { notifications },
    {
      record: ofRequest({ method }),
      isPatient: true,
      acknowledged: (_, honored) => acknowledged(honored),
      heard: (message, isTold) => {
        if (!isTold && !("id" in message)) heard(message)
        return message
      },
      gaveUp
    }
  )
  stream.start()
  return () => stream.end()
}

/** See the module. */
class ListenStream {
  readonly #port: Port
  readonly #params: Message.Params
  readonly #listener: Listener
  /** of the request that is under way */
  #id: Message.Id | undefined
  /** whether the server has acknowledged this connection */
  #isOpen = false
  #isLost = false
  #memory = Reopening.initial
  #began = 0
  #events = 0
  #isOver = false
  #stop: () => void = () => {}
  #remove: () => void = () => {}

  constructor(port: Port, params: Message.Params, listener: Listener) {
    this.#port = port
    this.#params = params
    this.#listener = listener
  }

  start(): void {
    this.#connect(this.#listener.record)
  }

  /** Nobody listens any more. */
  end(): void {
    if (this.#isOver) return
    this.#isOver = true
    this.#cancel()
    this.#remove()
    this.#over()
  }

  /** What the client is to get of a message that came for it. */
  take(message: Message.Message): Message.Message | undefined {
    if (!("method" in message)) return message
    if (message.method === acknowledged) return void this.#acknowledged(message.params?.["notifications"])
    // over stdio, a server may end it so
    if (Message.cancelled(message) !== undefined) return void this.#cancelled()
    this.#events++
    return this.#listener.heard(message, false)
  }

  #connect(record: Record): void {
    if (this.#isDone) return
    const { requests, subscriptions } = this.#port.transport
    this.#began = this.#port.now()
    this.#events = 0
    this.#isOpen = false
    this.#stop = requests.ask(
      {
        method,
        params: this.#params,
        record,
        cancellable: true,
        onId: (id) => {
          this.#id = id
          this.#remove = subscriptions.add(id, this)
        }
      },
      (_, answer) => {
        this.#remove()
        this.#id = undefined
        this.#ended(record.evidence ?? Evidence.transportFailure("closed"), answer)
      }
    )
  }

  get #isDone(): boolean {
    return this.#isOver || this.#port.isOver()
  }

  #acknowledged(notifications: unknown): void {
    const said = filterOf(notifications)
    const honored = within(said, filterOf(this.#params["notifications"]))
    this.#isOpen = true
    // it has its answer, though more will come
    this.#listener.record.met("answered", Evidence.answered)
    if (this.#isLost) {
      this.#isLost = false
      this.#port.host.notice("stream_restored")
      for (const change of changesOf(honored)) this.#port.receive(this.#listener.heard(change, true))
    }
    this.#listener.acknowledged(said, honored)
  }

  /** The server ends it without an answer. */
  #cancelled(): void {
    const { requests } = this.#port.transport
    const pending = this.#id === undefined ? undefined : requests.pending.get(this.#id)
    if (pending !== undefined)
      requests.fail(pending, Evidence.answered, new Error("The server has ended the subscription"))
  }

  /** The connection has ended, or none was made. */
  #ended(evidence: Evidence.Evidence, answer: Message.Answer | Error): void {
    if (this.#isDone) return
    const listener = this.#listener
    if (!this.#isOpen && !listener.isPatient) return this.#giveUp(evidence, answer)
    // that a stream ended says nothing of the request, which had its answer
    listener.record.met("answered", Evidence.answered)
    const outcome = this.#outcome(evidence)
    if (outcome._tag === "Ended") {
      this.#isLost = true
      this.#port.host.notice("stream_lost")
    }
    this.#port.fork(
      Effect.gen({ self: this }, function* () {
        const { delay, memory, observe } = Reopening.step(this.#memory, outcome, yield* Random.next)
        this.#memory = memory
        if (observe !== undefined) this.#port.host.observe(observe)
        if (delay === undefined) return this.#giveUp(evidence, answer)
        if (delay > 0) yield* Effect.raceFirst(Effect.sleep(delay), this.#untilOver)
        this.#connect(ofRequest({ method }))
      })
    )
  }

  #outcome(evidence: Evidence.Evidence): Reopening.Outcome {
    if (this.#isOpen)
      return { _tag: "Ended", lived: this.#port.now() - this.#began, events: this.#events, retry: undefined }
    return evidence._tag === "Refused" ? { _tag: "Refused", evidence } : { _tag: "Failed", evidence }
  }

  #giveUp(evidence: Evidence.Evidence, answer: Message.Answer | Error): void {
    if (this.#isDone) return
    this.#isOver = true
    this.#listener.gaveUp(evidence, answer)
  }

  /** With HTTP the end of its stream says so, elsewhere a message. */
  #cancel(): void {
    const { cancelsByStream, requests } = this.#port.transport
    if (cancelsByStream || this.#id === undefined) return this.#stop()
    const params = { requestId: this.#id }
    requests.send({ jsonrpc: "2.0", method: "notifications/cancelled", params }).catch(() => {})
  }

  #over: () => void = () => {}
  readonly #untilOver = Effect.callback<void>((resume) => {
    this.#over = () => resume(Effect.void)
  })
}

const filterOf = (value: unknown): Filter => (Message.isObject(value) ? value : {})

/** A server may say more than what was asked for. */
const within = (said: Filter, asked: Filter): Honored => {
  const uris = new Set(urisOf(said))
  const isBoth = (list: string) => said[list] === true && asked[list] === true
  return {
    toolsListChanged: isBoth("toolsListChanged"),
    promptsListChanged: isBoth("promptsListChanged"),
    resourcesListChanged: isBoth("resourcesListChanged"),
    resourceSubscriptions: urisOf(asked).filter((uri) => uris.has(uri))
  }
}

const urisOf = ({ resourceSubscriptions: uris }: Filter): ReadonlyArray<string> =>
  Array.isArray(uris) ? uris.filter((uri) => typeof uri === "string") : []

/** Of each list and each resource that a server tells of. */
const changesOf = (honored: Honored): ReadonlyArray<Message.Notification> => [
  ...(["tools", "prompts", "resources"] as const)
    .filter((kind) => honored[`${kind}ListChanged`])
    .map((kind): Message.Notification => ({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` })),
  ...honored.resourceSubscriptions.map((uri): Message.Notification => ({
    jsonrpc: "2.0",
    method: "notifications/resources/updated",
    params: { uri }
  }))
]
