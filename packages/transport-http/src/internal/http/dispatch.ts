/**
 * One request through undici's `dispatch`. `onRequestStart` is the step that matters: undici calls it on an open connection,
 * directly before it writes the first byte. What fails earlier was not sent; what fails later may have reached the server,
 * whatever its code says.
 */
import { type Head, type HttpRequest, type Progress, type Receiver, type Transmission, withheld } from "./sender.ts"

/** What undici hands a handler: version 7 and 8. */
interface Controller {
  readonly abort: (reason: Error) => void
  readonly pause: () => void
  readonly resume: () => void
  /** what undici keeps of the head, for as long as the body lasts */
  rawHeaders?: unknown
}

/** Any undici dispatcher, of this process's undici or of another version: an `Agent`, a `Pool`, a `ProxyAgent`. */
export interface Dispatcher {
  // Each version types its options and handlers anew.
  // oxlint-disable-next-line typescript/no-explicit-any -- a structural type that the dispatchers of all versions satisfy
  readonly dispatch: (options: any, handler: any) => boolean
}

type HeaderValues = Readonly<Record<string, string | Array<string> | undefined>>

const aborted = new Error("Nobody waits for the answer any more")

/** Where a request goes, in the parts in which undici takes it. */
export interface Address {
  readonly url: URL
  readonly origin: string
  readonly path: string
}

/** Finds the parts of URLs, of which a sender has one as a rule: a `URL` puts them together anew whenever it is asked. */
export const addressing = (): ((url: URL) => Address) => {
  let last: Address | undefined
  return (url) => (last?.url === url ? last : (last = { url, origin: url.origin, path: url.pathname + url.search }))
}

/** The deadlines of a request are the core's: none of undici's ends it. */
const optionsOf = ({ body, headers, method }: HttpRequest, { origin, path }: Address) => ({
  origin,
  path,
  method,
  headers,
  body,
  headersTimeout: 0,
  bodyTimeout: 0
})

/** Sends a request; `onDone` hears when it holds its connection no longer, and how it ended. */
export const dispatch = (
  dispatcher: Dispatcher,
  request: HttpRequest,
  address: Address,
  receiver: Receiver,
  onDone?: (transmission: DispatchHandler) => void
): DispatchHandler => {
  const handler = new DispatchHandler(receiver, onDone)
  try {
    dispatcher.dispatch(optionsOf(request, address), handler)
  } catch (error) {
    handler.onResponseError(undefined, error)
  }
  return handler
}

/** Hears of one request, in the words of every version of undici. */
export class DispatchHandler implements Transmission {
  readonly #receiver: Receiver
  readonly #onDone: ((transmission: DispatchHandler) => void) | undefined
  #controller: Controller | undefined = undefined
  #isAborted = false
  #isDone = false
  #started = false

  constructor(receiver: Receiver, onDone?: (transmission: DispatchHandler) => void) {
    this.#receiver = receiver
    this.#onDone = onDone
  }

  /** whether undici has begun to write it */
  get started(): boolean {
    return this.#started
  }

  /** whether it was aborted */
  get isAborted(): boolean {
    return this.#isAborted
  }

  abort(): void {
    if (this.#isAborted || this.#isDone) return
    this.#isAborted = true
    this.#controller?.abort(aborted)
    this.#done()
  }

  pause(): void {
    this.#controller?.pause()
  }

  resume(): void {
    this.#controller?.resume()
  }

  #done(): void {
    if (this.#isDone) return
    this.#isDone = true
    this.#onDone?.(this)
  }

  // -------------------------------------------------------------------------------------------------- undici 7 and 8

  onRequestStart(controller: Controller): void {
    this.#controller = controller
    // A second time would be a request that undici sends again by itself.
    if (this.#isAborted || this.#started) return controller.abort(aborted)
    if (!this.#receiver.maySend()) return controller.abort(withheld)
    this.#started = true
    this.#receiver.onSending()
  }

  onResponseStart(controller: Controller, status: number, headers: HeaderValues): void {
    // Slices of what was received: a stream that lasts would hold them, and it.
    controller.rawHeaders = null
    if (this.#isAborted || status < 200) return
    this.#receiver.onHead({
      status,
      header: (name) => {
        const value = headers[name]
        return Array.isArray(value) ? value.join(", ") : value
      }
    })
  }

  onResponseData(_controller: Controller, chunk: Uint8Array): void {
    if (!this.#isAborted) this.#receiver.onData(chunk)
  }

  onResponseEnd(): void {
    if (this.#isAborted) return
    this.#done()
    this.#receiver.onEnd()
  }

  onResponseError(_controller: Controller | undefined, error: unknown): void {
    if (this.#isAborted || this.#isDone) return
    this.#done()
    const progress: Progress = this.#started ? "sent" : "unsent"
    this.#receiver.onError(error, progress)
  }

  // -------------------------------------------------------------------------------------------------- undici 5 and 6

  onConnect(abort: (reason: Error) => void): void {
    this.onRequestStart({ abort, pause: () => {}, resume: () => {} })
  }

  onHeaders(status: number, raw: ReadonlyArray<Uint8Array | string>, resume: () => void): boolean {
    const headers = new Map<string, string>()
    for (let at = 0; at + 1 < raw.length; at += 2) {
      const name = text(raw[at]).toLowerCase()
      const value = text(raw[at + 1])
      const before = headers.get(name)
      headers.set(name, before === undefined ? value : `${before}, ${value}`)
    }
    let isPaused = false
    const abort = this.#controller?.abort ?? (() => {})
    this.#controller = {
      abort,
      pause: () => {
        isPaused = true
      },
      resume: () => {
        isPaused = false
        resume()
      }
    }
    this.#isPaused = () => isPaused
    if (!this.#isAborted && status >= 200) {
      const head: Head = { status, header: (name) => headers.get(name) }
      this.#receiver.onHead(head)
    }
    return !isPaused
  }

  #isPaused: () => boolean = never

  onData(chunk: Uint8Array): boolean {
    if (!this.#isAborted) this.#receiver.onData(chunk)
    return !this.#isPaused()
  }

  onComplete(): void {
    this.onResponseEnd()
  }

  onError(error: unknown): void {
    this.onResponseError(undefined, error)
  }
}

const never = () => false

const text = (value: Uint8Array | string | undefined): string =>
  value === undefined ? "" : typeof value === "string" ? value : new TextDecoder("latin1").decode(value)
