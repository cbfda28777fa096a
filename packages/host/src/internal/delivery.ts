/**
 * In which order the host gets messages: as they came from the server, and an answer one macrotask after what came before it.
 *
 * The second is for hosts on an SDK: it runs handlers of notifications a microtask later than those of answers, and drops the
 * progress of a request whose answer came in the same read.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"

/** What is known of a message beside what it says. */
export interface About {
  /** the host's own id of the request on whose answer stream it came, where streams are told apart */
  readonly relatedRequestId?: Message.Id | undefined
}

/** Takes a message to the host. */
export type Deliver = (message: Message.Message, about: About) => void

/** A place in the order. */
interface Place {
  /** the request whose answer it is for */
  readonly id: Message.Id | undefined
  /** `undefined` as long as the answer is not known */
  message: Message.Message | undefined
  readonly about: About
}

/** With more than that many messages waiting, answers are no longer set apart from what came before them. */
const most = 1000

const nothing: About = {}

/** See the module. */
export class Delivery {
  readonly #deliver: Deliver
  #places: Array<Place> = []
  /** where the answer to a request is expected */
  readonly #expected = new Map<Message.Id, Place>()
  #isScheduled = false

  constructor(deliver: Deliver) {
    this.#deliver = deliver
  }

  /** A request or a notification. */
  message(message: Message.Request | Message.Notification, about: About = nothing): void {
    if (this.#places.length === 0) this.#deliver(message, about)
    else this.#add({ id: undefined, message, about })
  }

  /** The answer to that request of the host's has come, and what it says is known in this macrotask: what comes now comes after it. */
  expect(id: Message.Id): void {
    const place: Place = { id, message: undefined, about: nothing }
    this.#expected.set(id, place)
    this.#add(place)
  }

  /** An answer to the host. */
  answer(answer: Message.Answer): void {
    const place = answer.id === undefined ? undefined : this.#expected.get(answer.id)
    if (place === undefined) this.#add({ id: answer.id, message: answer, about: nothing })
    else place.message = answer
  }

  #add(place: Place): void {
    this.#places.push(place)
    if (this.#isScheduled) return
    this.#isScheduled = true
    setImmediate(() => this.#next())
  }

  /** Delivers up to the next answer that must be set apart from what is delivered here. */
  #next(): void {
    this.#isScheduled = false
    const places = this.#places
    let at = 0
    let isSetApart = true
    for (; at < places.length; at++) {
      const place = places[at]
      if (place?.message === undefined) {
        // Not known in its time: it comes when it is.
        if (place?.id !== undefined) this.#expected.delete(place.id)
        continue
      }
      const isAnswer = !("method" in place.message)
      if (isAnswer && !isSetApart && places.length - at < most) break
      if (!isAnswer) isSetApart = false
      else if (place.id !== undefined) this.#expected.delete(place.id)
      this.#deliver(place.message, place.about)
    }
    // what was added meanwhile is behind
    this.#places = places.slice(at)
    if (this.#places.length > 0 && !this.#isScheduled) {
      this.#isScheduled = true
      setImmediate(() => this.#next())
    }
  }
}
