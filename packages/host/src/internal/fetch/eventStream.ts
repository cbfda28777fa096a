/**
 * The body of an answer: server-sent events, each a message. What was not read yet waits here, within a bound, and is read by
 * pulling: nothing else holds it.
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

const encoder = new TextEncoder()

/** See the module. */
export class EventStream {
  readonly body: ReadableStream<Uint8Array>
  readonly #most: number
  /** what waits */
  #text = ""
  /** what comes at the end */
  #last = ""
  #isEnding = false
  /** nothing more is read */
  #isOver = false
  /** whether something else was read just before: an answer is set apart from it, since hosts drop what comes with one */
  #isCrowded = false
  /** resumes the reader */
  #wake: (() => void) | undefined
  #controller: ReadableStreamDefaultController<Uint8Array> | undefined

  constructor({ abandoned, most = 16 * 1024 * 1024 }: Options) {
    this.#most = most
    this.body = new ReadableStream<Uint8Array>(
      {
        start: (controller) => {
          this.#controller = controller
        },
        pull: (controller) => this.#pull(controller),
        cancel: () => {
          if (this.#over()) abandoned()
        }
      },
      { highWaterMark: 0 }
    )
  }

  /** Whether it was taken: false where the reader has left too much unread. */
  push(message: Message.Message): boolean {
    if (this.#isOver || this.#isEnding) return true
    const event = eventOf(message)
    if (this.#text !== "" && this.#text.length + event.length > this.#most) return false
    this.#text += event
    this.#wake?.()
    return true
  }

  /** Ends it, behind what waits, with the answer where there is one. */
  end(answer?: Message.Answer): void {
    if (this.#isOver || this.#isEnding) return
    this.#isEnding = true
    if (answer !== undefined) this.#last = eventOf(answer)
    this.#wake?.()
  }

  /** Forgets what waits. */
  clear(): void {
    this.#text = ""
  }

  /** The reader gets this error instead of an end. */
  fail(error: unknown): void {
    if (this.#over()) this.#controller?.error(error)
  }

  async #pull(controller: ReadableStreamDefaultController<Uint8Array>): Promise<void> {
    if (this.#text === "" && this.#isEnding && this.#isCrowded) await new Promise((resolve) => setImmediate(resolve))
    while (this.#text === "" && !this.#isEnding && !this.#isOver) {
      this.#isCrowded = false
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    if (this.#isOver) return
    if (this.#text !== "") {
      const text = this.#text
      this.#text = ""
      this.#isCrowded = true
      return controller.enqueue(encoder.encode(text))
    }
    if (this.#last !== "") controller.enqueue(encoder.encode(this.#last))
    this.#over()
    controller.close()
  }

  /** Whether it was not over before. */
  #over(): boolean {
    if (this.#isOver) return false
    this.#isOver = true
    this.#text = ""
    this.#last = ""
    this.#wake?.()
    return true
  }
}

const eventOf = (message: Message.Message): string => `event: message\ndata: ${JSON.stringify(message)}\n\n`
