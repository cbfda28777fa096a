/**
 * The subscriptions of one session. In the modern era (`subscriptions/listen` of MCP 2026-07-28): which there are, and to which of them a
 * message of the server's belongs. In the legacy one: who hears of what the server tells unasked, and which resources are subscribed to
 * for it.
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
 * Hears of all that a server of the legacy era tells unasked.
 *
 * @since 0.1.0
 */
export interface Hearer {
  readonly told: (notification: Message.Notification) => void
  /** The stream on which it tells is there again, and what it told meanwhile is lost. */
  readonly restored: () => void
}

/**
 * See the module.
 *
 * @since 0.1.0
 */
export class Subscriptions {
  // Each is made when there is something to be put in: most sessions have none of them.
  #byId: Map<Message.Id, Subscriber> | undefined = undefined
  #hearers: Set<Hearer> | undefined = undefined
  /** for how many a resource is subscribed to */
  #held: Map<string, number> | undefined = undefined

  /** The subscriber gets what belongs to the request with that id, until what this returns is called. */
  add(id: Message.Id, subscriber: Subscriber): () => void {
    const all = (this.#byId ??= new Map())
    all.set(id, subscriber)
    return () => {
      if (all.get(id) === subscriber) all.delete(id)
    }
  }

  /** What the client is to get of a message that came, on the answer stream of a request where streams are told apart. */
  take(message: Message.Message, relatedRequestId: Message.Id | undefined): Message.Message | undefined {
    const all = this.#byId
    if (all === undefined || all.size === 0) return message
    const subscriber =
      of(all, relatedRequestId) ?? of(all, Message.subscriptionOf(message)) ?? of(all, Message.cancelled(message))
    return subscriber === undefined ? message : subscriber.take(message)
  }

  /** Is told of every notification, until what this returns is called. */
  hear(hearer: Hearer): () => void {
    const all = (this.#hearers ??= new Set())
    all.add(hearer)
    return () => void all.delete(hearer)
  }

  /** The server has told something. */
  told(message: Message.Message): void {
    if (this.#hearers === undefined || !("method" in message) || "id" in message) return
    for (const hearer of this.#hearers) hearer.told(message)
  }

  /** See {@link Hearer.restored}. */
  restored(): void {
    for (const hearer of this.#hearers ?? []) hearer.restored()
  }

  /** One more needs the subscription to a resource. */
  hold(uri: string): void {
    const all = (this.#held ??= new Map())
    all.set(uri, (all.get(uri) ?? 0) + 1)
  }

  /** One needs it no more; whether that was the last. */
  letGo(uri: string): boolean {
    const left = (this.#held?.get(uri) ?? 1) - 1
    if (left > 0) this.#held?.set(uri, left)
    else this.#held?.delete(uri)
    return left === 0
  }
}

/** Some servers send "7" for 7. */
const of = (all: ReadonlyMap<Message.Id, Subscriber>, id: Message.Id | undefined): Subscriber | undefined =>
  id === undefined ? undefined : (all.get(id) ?? all.get(Number(id)))
