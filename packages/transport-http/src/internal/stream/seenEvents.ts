/**
 * The ids of the events that came last, to recognize those that a server sends again where a stream is resumed.
 */
import * as Hash from "effect/Hash"
import type { ServerSentEvent } from "./eventStream.ts"

/** See the module. */
export class SeenEvents {
  readonly #most: number
  #seen: Map<string, number> | undefined = undefined

  /** `most`: how many are remembered */
  constructor(most: number) {
    this.#most = most
  }

  /** Remembers an event by its id; true when the server had sent it before. */
  seen({ data, id }: ServerSentEvent): boolean {
    if (id === undefined || id === "") return false
    // Some servers count the events of every stream from 1: the id alone does not tell an event.
    const content =
      data === undefined
        ? 0
        : data.length +
          Hash.string(data.toString("latin1", 0, 256) + data.toString("latin1", Math.max(0, data.length - 256)))
    const seen = (this.#seen ??= new Map())
    if (seen.get(id) === content) return true
    seen.set(id, content)
    const oldest = seen.size > this.#most ? seen.keys().next().value : undefined
    if (oldest !== undefined) seen.delete(oldest)
    return false
  }
}
