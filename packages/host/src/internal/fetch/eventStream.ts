/**
 * The body of an answer: messages, of which the last one is the answer itself. What was not read yet waits here, within a bound, and is
 * read by pulling: nothing else holds it.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"

/** What it is made of. */
export interface Options {
  /** the reader has gone away: it has cancelled the body, or never will read it */
  readonly abandoned: () => void
  /**
   * How much may wait that is no answer, in characters. One message alone is always taken: the transport bounds it. Default: as
   * much as one message may have
   */
  readonly most?: number | undefined
}

/** What is read at a time. */
export type Part<Data = string> =
  /** events, each a message that is no answer */
  | { readonly _tag: "Some"; readonly data: Data }
  /** the answer, as JSON: nothing comes behind it */
  | { readonly _tag: "Answer"; readonly json: string }
  | { readonly _tag: "End" }

/** What says that a body is server-sent events. */
export const headers = { "content-type": "text/event-stream", "cache-control": "no-cache, no-transform" }

/** A message, which is JSON, as a server-sent event. */
export const eventOf = (json: string): string => `event: message\ndata: ${json}\n\n`

const encoder = new TextEncoder()

const end: Part<never> = { _tag: "End" }

/** See the module. */
export class EventStream {
  readonly #abandoned: () => void
  readonly #most: number
  /** what waits */
  #text = ""
  /** what comes at the end */
  #answer: string | undefined
  #isEnding = false
  /** nothing more is read */
  #isOver = false
  #failure: { readonly error: unknown } | undefined
  /** whether something else was read just before: an answer is set apart from it, since hosts drop what comes with one */
  #isCrowded = false
  /** resumes the reader */
  #wake: (() => void) | undefined

  constructor({ abandoned, most = 16 * 1024 * 1024 }: Options) {
    this.#abandoned = abandoned
    this.#most = most
  }

  // ---------------------------------------------------------------------------------------------------- to be written

  /** Whether it was taken: false where the reader has left too much unread. */
  push(message: Message.Message): boolean {
    if (this.#isOver || this.#isEnding) return true
    const event = eventOf(JSON.stringify(message))
    if (this.#text !== "" && this.#text.length + event.length > this.#most) return false
    this.#text += event
    this.#wake?.()
    return true
  }

  /** Ends it, behind what waits, with the answer where there is one. */
  end(answer?: Message.Answer): void {
    if (this.#isOver || this.#isEnding) return
    this.#isEnding = true
    if (answer !== undefined) this.#answer = JSON.stringify(answer)
    this.#wake?.()
  }

  /** Forgets what waits. */
  clear(): void {
    this.#text = ""
  }

  /** The reader gets this error instead of an end. */
  fail(error: unknown): void {
    if (!this.#isOver) this.#failure = { error }
    this.#over()
  }

  // ------------------------------------------------------------------------------------------------------- to be read

  /** Waits for what comes next. One at a time; rejects where it has failed. */
  async next(): Promise<Part> {
    if (this.#text === "" && this.#isEnding && this.#isCrowded) await new Promise((resolve) => setImmediate(resolve))
    while (this.#text === "" && !this.#isEnding && !this.#isOver) {
      this.#isCrowded = false
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    if (this.#failure !== undefined) throw this.#failure.error
    const [text, json] = [this.#text, this.#answer]
    if (text !== "") {
      this.#text = ""
      this.#isCrowded = true
      return { _tag: "Some", data: text }
    }
    this.#over()
    return json === undefined ? end : { _tag: "Answer", json }
  }

  /** The reader goes away. */
  cancel(): void {
    if (this.#over()) this.#abandoned()
  }

  /** The same as the body of a `Response`; once. */
  get body(): ReadableStream<Uint8Array> {
    return new ReadableStream<Uint8Array>(
      {
        pull: async (controller) => {
          const part = await this.next()
          if (part._tag === "Some") return controller.enqueue(encoder.encode(part.data))
          if (part._tag === "Answer") controller.enqueue(encoder.encode(eventOf(part.json)))
          controller.close()
        },
        cancel: () => this.cancel()
      },
      { highWaterMark: 0 }
    )
  }

  /** Whether it was not over before. */
  #over(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#text = ""
    this.#answer = undefined
    this.#wake?.()
    return true
  }
}
