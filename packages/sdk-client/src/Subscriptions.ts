/**
 * The subscriptions of one session (`subscriptions/listen` of MCP 2026-07-28): which there are, and to which of them a message of the
 * server's belongs.
 */
import * as Message from "./Message.ts"

/**
 * Takes what comes for one subscription.
 *
 * @since 0.1.0
 */
export interface Subscriber {
  /** What the client is to get of a message that belongs to it; `undefined` where it gets nothing. */
  readonly take: (message: Message.Message) => Message.Message | undefined
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export class Subscriptions {
  readonly #byId = new Map<Message.Id, Subscriber>()

  /** The subscriber gets what belongs to the request with that id, until what this returns is called. */
  add(id: Message.Id, subscriber: Subscriber): () => void {
    this.#byId.set(id, subscriber)
    return () => {
      if (this.#byId.get(id) === subscriber) this.#byId.delete(id)
    }
  }

  /** What the client is to get of a message that came, on the answer stream of a request where streams are told apart. */
  take(message: Message.Message, relatedRequestId: Message.Id | undefined): Message.Message | undefined {
    if (this.#byId.size === 0) return message
    const subscriber =
      this.#of(relatedRequestId) ?? this.#of(Message.subscriptionOf(message)) ?? this.#of(Message.cancelled(message))
    return subscriber === undefined ? message : subscriber.take(message)
  }

  /** Some servers send "7" for 7. */
  #of(id: Message.Id | undefined): Subscriber | undefined {
    return id === undefined ? undefined : (this.#byId.get(id) ?? this.#byId.get(Number(id)))
  }
}
