/**
 * The stream of a `subscriptions/listen` (MCP 2026-07-28), kept open as the standing stream of the revisions before is. To the client
 * it is one subscription, under the id that it chose; behind it is one request after the other, each under an id of its own, since a
 * request that was lost is sent again under another one.
 *
 * What changed while there was no stream is not known: once it is back, the client is told of each list that it listens to.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Message, RequestRecord, type Requests } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Failure from "../http/failure.ts"
import type { Wire } from "../session/wire.ts"
import * as StandingStream from "./standingStream.ts"

/** What a client wants to hear of, and what a server says that it will tell of. */
type Filter = { readonly [what: string]: unknown }

/** How long a client that connects waits for the acknowledgment, in milliseconds: it does not connect before. */
const patience = 1000

const acknowledged = "notifications/subscriptions/acknowledged"
const subscriptionId = "io.modelcontextprotocol/subscriptionId"
const unknownMethod = -32601

/** Whether a request is one. */
export const isOne = ({ method }: Message.Request, { modern, own }: Requests.Pending): boolean =>
  method === "subscriptions/listen" && modern && !own

/** See the module. */
export class ListenStream {
  readonly #wire: Wire
  readonly #pending: Requests.Pending
  readonly #params: Message.Params
  /** what the client was told that the server will tell of; `undefined` before it was told */
  #told: Filter | undefined = undefined
  /** whether the server has acknowledged this connection */
  #isOpen = false
  #isLost = false
  #memory = StandingStream.initial
  #began = 0
  #events = 0
  #isOver = false
  #stop: () => void = () => {}
  #timer: NodeJS.Timeout | undefined = undefined

  constructor(wire: Wire, message: Message.Request, pending: Requests.Pending) {
    this.#wire = wire
    this.#pending = pending
    this.#params = message.params ?? {}
  }

  /** Opens it. It lives until the client ends it, the session ends, or the server does not offer it. */
  start(): void {
    this.#pending.release = () => this.#end()
    // made to connect: a server that never acknowledges must not keep the client from it
    if (!this.#pending.guarded && !this.#wire.opened)
      this.#timer = setTimeout(() => this.#tell(filterOf(this.#params["notifications"])), patience)
    this.#connect(this.#pending.record)
  }

  /** What the client is to hear of a message that came on the stream; `undefined` where it is nothing. */
  take(message: Message.Message): Message.Message | undefined {
    if (!("method" in message)) return message
    if (message.method === acknowledged) return void this.#acknowledged(message.params?.["notifications"])
    this.#events++
    return this.#named(message)
  }

  /** The message, of the subscription that the client knows. */
  #named<Of extends Message.Request | Message.Notification>(message: Of): Of {
    const { params } = message
    return { ...message, params: { ...params, _meta: { ...params?._meta, [subscriptionId]: this.#pending.id } } }
  }

  #connect(record: RequestRecord.Record): void {
    if (this.#isOver || this.#wire.isOver) return
    this.#began = this.#wire.now()
    this.#events = 0
    this.#isOpen = false
    let id: Message.Id | undefined
    this.#stop = this.#wire.requests.ask(
      {
        method: "subscriptions/listen",
        params: this.#params,
        record,
        onId: (own) => {
          id = own
          this.#wire.listening.set(own, this)
        }
      },
      (_, answer) => {
        if (id !== undefined) this.#wire.listening.delete(id)
        if (!this.#isOver && !this.#wire.isOver)
          this.#ended(record.evidence ?? Evidence.transportFailure("closed"), answer)
      }
    )
  }

  #acknowledged(notifications: unknown): void {
    const honored = filterOf(notifications)
    this.#isOpen = true
    // it has its answer, though more will come
    this.#pending.record.met("answered", Evidence.answered)
    if (this.#isLost) this.#restored(honored)
    this.#tell(honored)
  }

  #tell(filter: Filter): void {
    clearTimeout(this.#timer)
    if (this.#told !== undefined || this.#isOver) return
    this.#told = filter
    this.#deliver({ jsonrpc: "2.0", method: acknowledged, params: { notifications: filter } })
  }

  #restored(honored: Filter): void {
    this.#isLost = false
    this.#wire.host.notice("stream_restored")
    for (const [what, isHonored] of Object.entries(honored)) {
      const kind = /^(tools|prompts|resources)ListChanged$/.exec(what)?.[1]
      if (kind !== undefined && isHonored === true)
        this.#deliver({ jsonrpc: "2.0", method: `notifications/${kind}/list_changed` })
    }
  }

  #deliver(notification: Message.Notification): void {
    this.#wire.receive(this.#named(notification), 0)
  }

  /** The connection has ended, or none was made. */
  #ended(evidence: Evidence.Evidence, answer: Message.Answer | Error): void {
    const isUnknown = evidence._tag === "ErrorAnswer" && evidence.code === unknownMethod
    if (this.#told === undefined || isUnknown) return this.#giveUp(evidence, answer)
    // that a stream ended says nothing of the request, which had its answer
    this.#pending.record.met("answered", Evidence.answered)
    const outcome = this.#outcome(evidence)
    if (outcome._tag === "Ended") {
      this.#isLost = true
      this.#wire.host.notice("stream_lost")
    }
    this.#wire.fork(
      Effect.gen({ self: this }, function* () {
        const { delay, memory, observe } = StandingStream.step(this.#memory, outcome, yield* Random.next)
        this.#memory = memory
        if (observe !== undefined) this.#wire.host.observe(observe)
        if (delay === undefined) return this.#giveUp(evidence, answer)
        if (delay > 0) yield* Effect.raceFirst(Effect.sleep(delay), this.#untilOver)
        this.#connect(RequestRecord.ofRequest({ method: "subscriptions/listen" }))
      })
    )
  }

  #outcome(evidence: Evidence.Evidence): StandingStream.Outcome {
    if (this.#isOpen)
      return { _tag: "Ended", lived: this.#wire.now() - this.#began, events: this.#events, retry: undefined }
    return evidence._tag === "Refused" ? { _tag: "Refused", evidence } : { _tag: "Failed", evidence }
  }

  /** The client gets what came instead of the stream. */
  #giveUp(evidence: Evidence.Evidence, answer: Message.Answer | Error): void {
    const { id } = this.#pending
    if (answer instanceof Error) this.#wire.requests.fail(this.#pending, evidence, Failure.errorOf(evidence))
    else this.#wire.requests.received({ ...answer, id })
  }

  #over: () => void = () => {}
  readonly #untilOver = Effect.callback<void>((resume) => {
    this.#over = () => resume(Effect.void)
  })

  #end(): void {
    this.#isOver = true
    clearTimeout(this.#timer)
    this.#stop()
    this.#over()
  }
}

const filterOf = (value: unknown): Filter => (Message.isObject(value) ? value : {})
