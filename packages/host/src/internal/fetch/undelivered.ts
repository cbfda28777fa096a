/**
 * Messages to the host that no stream is open for: they wait for the next one, within a bound.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** What goes on a stream and is no answer. */
export type FromServer = Message.Request | Message.Notification

/**
 * How much may wait. A host that opens no stream for long has no use for all that was logged meanwhile; requests of a server's are
 * at most 64 at a time (`Limits.serverRequests`).
 */
export interface Bounds {
  readonly messages: number
  /** of all of them as JSON */
  readonly characters: number
}

/** What holds where nothing else is said. */
export const bounds: Bounds = { messages: 256, characters: 4 * 1024 * 1024 }

/** See the module. */
export class Undelivered {
  readonly #bounds: Bounds
  /** by their JSON, the oldest first: what says the same again says nothing new */
  readonly #messages = new Map<string, FromServer>()
  #characters = 0

  constructor(limits: Bounds = bounds) {
    this.#bounds = limits
  }

  get size(): number {
    return this.#messages.size
  }

  /** It waits. Returns what does not any more: the oldest, where there is too much. */
  hold(message: FromServer): Array<FromServer> {
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined && this.#forget(cancelled)) return []
    const json = JSON.stringify(message)
    if (this.#messages.has(json)) return []
    this.#messages.set(json, message)
    this.#characters += json.length
    const given: Array<FromServer> = []
    for (const [held, oldest] of this.#messages) {
      const { characters, messages } = this.#bounds
      if (this.#messages.size <= messages && this.#characters <= characters) break
      // one alone is bounded by the transport
      if (this.#messages.size === 1) break
      this.#delete(held)
      given.push(oldest)
    }
    return given
  }

  /** A stream is open: what waits, in order. */
  release(): Array<FromServer> {
    const messages = [...this.#messages.values()]
    this.#messages.clear()
    this.#characters = 0
    return messages
  }

  /** Whether a request waits that nobody waits for any more: the host has not seen it, and need not know. */
  #forget(id: Message.Id): boolean {
    for (const [json, message] of this.#messages) {
      if (!("id" in message) || message.id !== id) continue
      this.#delete(json)
      return true
    }
    return false
  }

  #delete(json: string): void {
    this.#messages.delete(json)
    this.#characters -= json.length
  }
}
