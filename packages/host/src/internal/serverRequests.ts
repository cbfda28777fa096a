/**
 * The requests of servers that the host has not answered: whose each is. The host sees ids and progress tokens that never repeat,
 * so that what it says late cannot reach another session.
 */
import { Message, type Peer } from "@vmcp-keepalive/sdk-client/peer"

/** A request of a server's. */
interface Asked<P> {
  readonly peer: P
  /** its id there */
  readonly id: Message.Id
  /** its progress token there, where it has one */
  readonly token: Message.Id | undefined
}

/**
 * What goes to a server.
 *
 * @since 0.1.0
 */
export interface ToServer<A, P = Peer.Peer> {
  readonly peer: P
  readonly message: A
}

/**
 * See the module. `P` is what servers are told apart by. How many there can be is bounded by the transport, which counts what a session has in hand.
 *
 * @since 0.1.0
 */
export class ServerRequests<P = Peer.Peer> {
  /** by the id, and progress token, that the host sees */
  readonly #asked = new Map<Message.Id, Asked<P>>()
  #next = 0

  /** how many there are */
  get size(): number {
    return this.#asked.size
  }

  /** A server asks: the request as the host gets it. */
  received(peer: P, request: Message.Request): Message.Request {
    const id = `kept-${this.#next++}`
    const { params } = request
    const meta = params?._meta
    const token = meta?.["progressToken"]
    this.#asked.set(id, { peer, id: request.id, token: Message.isId(token) ? token : undefined })
    return Message.isId(token)
      ? { ...request, id, params: { ...params, _meta: { ...meta, progressToken: id } } }
      : { ...request, id }
  }

  /** The host answers: `undefined` where nobody waits for it. */
  answered(answer: Message.Answer): ToServer<Message.Answer, P> | undefined {
    const asked = answer.id === undefined ? undefined : this.#take(answer.id)
    return asked && { peer: asked.peer, message: { ...answer, id: asked.id } }
  }

  /** The host tells how far it is: `undefined` where nobody wants to know. */
  progress(token: Message.Id, notification: Message.Notification): ToServer<Message.Notification, P> | undefined {
    const asked = this.#asked.get(token)
    if (asked?.token === undefined) return undefined
    return {
      peer: asked.peer,
      message: { ...notification, params: { ...notification.params, progressToken: asked.token } }
    }
  }

  /** A server waits no longer for a request of its own: what the host is told, where it knows of it. */
  cancelled(peer: P, id: Message.Id, notification: Message.Notification): Message.Notification | undefined {
    for (const [ours, asked] of this.#asked) {
      if (asked.peer !== peer || asked.id !== id) continue
      this.#asked.delete(ours)
      return { ...notification, params: { ...notification.params, requestId: ours } }
    }
    return undefined
  }

  /** The session of the peer has ended: what the host is told. */
  ended(peer: P): Array<Message.Notification> {
    const told: Array<Message.Notification> = []
    for (const [requestId, asked] of this.#asked) {
      if (asked.peer !== peer) continue
      this.#asked.delete(requestId)
      told.push({
        jsonrpc: "2.0",
        method: "notifications/cancelled",
        params: { requestId, reason: "The session of the server that asked has ended" }
      })
    }
    return told
  }

  #take(id: Message.Id): Asked<P> | undefined {
    const asked = this.#asked.get(id)
    this.#asked.delete(id)
    return asked
  }
}
