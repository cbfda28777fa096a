/**
 * In which order the host gets messages: as they came from the server, and an answer one macrotask after the notifications and
 * requests before it.
 *
 * The second is for hosts on an SDK: it runs handlers of notifications a microtask later than those of answers, and drops the
 * progress of a request whose answer came in the same read.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** What is known of a message beside what it says. */
export interface About {
  /** the host's own id of the request on whose answer stream it came, where streams are told apart */
  readonly relatedRequestId?: Message.Id | undefined
}

/** Takes a message to the host. */
export type Deliver = (message: Message.Message, about: About) => void

/** A place in the order. */
interface Place {
  /** `undefined` as long as the answer that it is for is not known */
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
  /** whether something that is no answer was delivered in this macrotask */
  #hasTold = false
  #isDelivering = false
  #isScheduled = false

  constructor(deliver: Deliver) {
    this.#deliver = deliver
  }

  /** A request or a notification of a server's. */
  message(message: Message.Request | Message.Notification, about: About = nothing): void {
    this.#places.push({ message, about })
    this.#next()
  }

  /** The answer to that request of the host's has come, and what it says is known in this macrotask: what comes now comes after it. */
  expect(id: Message.Id): void {
    const place: Place = { message: undefined, about: nothing }
    this.#expected.set(id, place)
    this.#places.push(place)
  }

  /** An answer to the host. */
  answer(answer: Message.Answer): void {
    const place = this.#placeOf(answer)
    if (place === undefined) this.#places.push({ message: answer, about: nothing })
    else place.message = answer
    this.#next()
  }

  /** The same, to a request that the host is about to learn that it was sent: not before the next macrotask. */
  answerLater(answer: Message.Answer): void {
    this.#hasTold = true
    this.answer(answer)
  }

  #placeOf({ id }: Message.Answer): Place | undefined {
    if (id === undefined) return undefined
    const place = this.#expected.get(id)
    this.#expected.delete(id)
    return place
  }

  /** Delivers up to what has to wait for the next macrotask. */
  #next(): void {
    // what a host causes while it is told something comes behind
    if (this.#isDelivering) return
    this.#isDelivering = true
    const places = this.#places
    let at = 0
    for (; at < places.length; at++) {
      const message = places[at]?.message
      if (message === undefined) break
      if (!Message.isAnswer(message)) this.#hasTold = true
      else if (this.#hasTold && places.length - at < most) break
      this.#deliver(message, places[at]?.about ?? nothing)
    }
    places.splice(0, at)
    this.#isDelivering = false
    if (!this.#isScheduled && (this.#hasTold || places.length > 0)) {
      this.#isScheduled = true
      setImmediate(() => this.#macrotask())
    }
  }

  #macrotask(): void {
    this.#isScheduled = false
    this.#hasTold = false
    // An answer that is not known in its time comes when it is.
    const { size } = this.#expected
    if (size > 0) {
      this.#expected.clear()
      this.#places = this.#places.filter(({ message }) => message !== undefined)
    }
    this.#next()
  }
}
