/**
 * Sending through a `fetch` of the user's. Its connections are its own: those in use are ended, the idle ones are left to it.
 * It does not say when it begins to send, so what failed is taken for sent unless its error proves the contrary.
 */
import { type Head, type HttpRequest, type Receiver, type Sender, type Transmission, withheld } from "./sender.ts"

/** `fetch`, in structure. */
export type Fetch = (url: string | URL, init?: RequestInit) => Promise<Response>

/** See the module; `requestInit` is handed to it with every request. */
export const make = (fetch: Fetch, requestInit: RequestInit | undefined): Sender => ({
  send: (request, receiver) => new FetchTransmission(fetch, requestInit, request, receiver),
  close: () => {}
})

/** A `fetch` decodes what it hands on, and leaves the header. */
const headOf = ({ headers, status }: Response): Head => ({
  status,
  header: (name) => (name === "content-encoding" ? undefined : (headers.get(name) ?? undefined))
})

class FetchTransmission implements Transmission {
  readonly #controller = new AbortController()
  readonly #receiver: Receiver
  #isOver = false
  /** resolves when data is wanted again */
  #wanted: Promise<void> | undefined = undefined
  #want: () => void = () => {}

  constructor(fetch: Fetch, requestInit: RequestInit | undefined, request: HttpRequest, receiver: Receiver) {
    this.#receiver = receiver
    const { body, headers, method, url } = request
    const init: RequestInit = {
      ...requestInit,
      method,
      headers: { ...headers },
      ...(body === undefined ? {} : { body }),
      redirect: "manual",
      signal: this.#controller.signal
    }
    void this.#run(() => fetch(url, init))
  }

  abort(): void {
    this.#isOver = true
    this.#controller.abort()
    this.resume()
  }

  pause(): void {
    this.#wanted ??= new Promise((resolve) => {
      this.#want = resolve
    })
  }

  resume(): void {
    this.#wanted = undefined
    this.#want()
  }

  async #run(fetch: () => Promise<Response>): Promise<void> {
    if (!this.#receiver.maySend()) return this.#receiver.onError(withheld, "unsent")
    this.#receiver.onSending()
    try {
      const response = await fetch()
      const body = response.body?.getReader()
      // whatever it does with its signal once an answer has begun
      const cancel = () => void body?.cancel().catch(() => {})
      if (this.#isOver) return cancel()
      this.#controller.signal.addEventListener("abort", cancel, { once: true })
      this.#receiver.onHead(headOf(response))
      if (body !== undefined) await this.#read(body)
      if (!this.#isOver) this.#receiver.onEnd()
    } catch (error) {
      if (!this.#isOver) this.#receiver.onError(error, "unknown")
    }
  }

  async #read(body: ReadableStreamDefaultReader<Uint8Array>): Promise<void> {
    while (!this.#isOver) {
      const { done, value } = await body.read()
      if (done || this.#isOver) return
      this.#receiver.onData(value)
      if (this.#wanted !== undefined) await this.#wanted
    }
  }
}
