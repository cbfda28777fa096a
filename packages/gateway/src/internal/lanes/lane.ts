/**
 * One backend for one host: a connection of the host's to it, on which requests have ids of the lane's own.
 */
import type { Backend } from "@vmcp-keepalive/core"
import { ErrorAnswer, type KeptPeer } from "@vmcp-keepalive/host"
import { Message, type Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"

/** What answers a request: a result or an error. */
export type Outcome = { readonly result: Message.Result } | { readonly error: Message.ErrorAnswer["error"] }

/** Who hears what the server says by itself. `relatedRequestId` is the host's own. */
export interface Host {
  readonly told: (lane: Lane, message: Message.Request | Message.Notification, about: KeptPeer.About) => void
}

/** The connection that a lane is made of: {@link KeptPeer}, or a part in a session that several hosts have. */
export type Connection = Pick<KeptPeer.KeptPeer, "take" | "server">

/** What is asked, and by whom. */
interface Asked {
  /** the host's own id of the request, where it is the host that asks */
  readonly of: Message.Id | undefined
  readonly answered: (outcome: Outcome) => void
}

const nothing: KeptPeer.About = {}

/** The backend was removed, or is reached in another way, while it worked on a request. */
const gone = (backend: string): Message.ErrorAnswer["error"] => ({
  code: ErrorAnswer.codes.OutcomeUnknown,
  message: `The MCP server "${backend}" was taken away during the call: whether it was executed is unknown.`,
  data: { error: "OutcomeUnknown", backend, reason: "closed", executed: "unknown" } satisfies ErrorAnswer.Data
})

/** See the module. */
export class Lane {
  readonly id: string
  readonly mode: "per-client" | "shared"
  readonly #host: Host
  readonly #asked = new Map<Message.Id, Asked>()
  #connection: Connection | undefined
  #backend: Backend.Backend<Peer.Peer> | undefined
  #next = 0

  constructor(id: string, mode: Lane["mode"], host: Host) {
    this.id = id
    this.mode = mode
    this.#host = host
  }

  /** What it is made of, before anything is asked. */
  connect(connection: Connection, backend: Backend.Backend<Peer.Peer>): void {
    this.#connection = connection
    this.#backend = backend
  }

  /** The backend whose session it uses: its own, or the fleet's. */
  get backend(): Backend.Backend<Peer.Peer> {
    if (this.#backend === undefined) throw new Error("A lane is connected before it is used")
    return this.#backend
  }

  /** what the server said of itself in the newest session */
  get server(): Peer.Server | undefined {
    return this.#connection?.server
  }

  // ---------------------------------------------------------------------------------------------------- to the server

  /** Asks the server; what this returns cancels it, and it is not answered then. */
  ask(
    method: string,
    params: Message.Params | undefined,
    answered: (outcome: Outcome) => void,
    of?: Message.Id
  ): () => void {
    const id = this.#next++
    this.#asked.set(id, { of, answered })
    const request = { jsonrpc: "2.0", id, method } as const
    this.#connection?.take(params === undefined ? request : { ...request, params })
    return () => {
      if (!this.#asked.delete(id)) return
      this.take({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } })
    }
  }

  /** The same as an effect, which fails with the error that answers it. */
  request(method: string, params?: Message.Params): Effect.Effect<Message.Result, Message.ErrorAnswer["error"]> {
    return Effect.callback((resume) => {
      const cancel = this.ask(method, params, (outcome) =>
        resume("result" in outcome ? Effect.succeed(outcome.result) : Effect.fail(outcome.error))
      )
      return Effect.sync(cancel)
    })
  }

  /** A notification, or an answer to a request of the server's. */
  take(message: Message.Notification | Message.Answer): void {
    this.#connection?.take(message)
  }

  /** It is over: what was asked is answered by an error, which says that it may have been executed. */
  ended(): void {
    const asked = [...this.#asked.values()]
    this.#asked.clear()
    for (const { answered } of asked) answered({ error: gone(this.id) })
  }

  // -------------------------------------------------------------------------------------------------- from the server

  /** Takes what the connection delivers. */
  readonly deliver: KeptPeer.Deliver = (message, { relatedRequestId } = nothing) => {
    if (!Message.isAnswer(message)) {
      const of = relatedRequestId === undefined ? undefined : this.#asked.get(relatedRequestId)?.of
      return this.#host.told(this, message, of === undefined ? nothing : { relatedRequestId: of })
    }
    if (message.id === undefined) return
    const asked = this.#asked.get(message.id)
    this.#asked.delete(message.id)
    asked?.answered(message)
  }
}
