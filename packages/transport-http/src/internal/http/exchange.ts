/**
 * One request and its response, redirects within the origin and content codings included. It ends exactly once: by its body's
 * end, by a failure, or by an abort, after which nobody hears of it.
 */
import * as Decoding from "./decoding.ts"
import * as Failure from "./failure.ts"
import * as Redirect from "./redirect.ts"
import type { Head, HttpRequest, Progress, Receiver, Sender, Transmission } from "./sender.ts"

/** Who reads a body, decoded. Exactly one of `onEnd` and `onFailure` comes, unless the exchange was aborted. */
export interface Body {
  readonly onData: (chunk: Uint8Array) => void
  readonly onEnd: () => void
  readonly onFailure: (failure: Failure.Failure) => void
  /** The exchange is over, however: comes before the other two, and alone where it was aborted. */
  readonly onOver?: () => void
}

/** Who asked. */
export interface Asker {
  /** as {@link Receiver.maySend}; left out: it may */
  readonly maySend?: () => boolean
  /** from now on a byte of the request may leave */
  readonly onSending?: () => void
  /** The response of this exchange has begun; what this returns reads its body. */
  readonly onHead: (head: Head, exchange: Exchange) => Body
  /** There will be no response. */
  readonly onFailure: (failure: Failure.Failure) => void
  /** It holds no socket any more, however it ended: the last that is heard of it. */
  readonly onOver?: () => void
}

const undecodable: Failure.Failure = { reason: "protocol", unsent: false, code: undefined, syscall: undefined }

/** Whose exchange it is. */
export interface Owner {
  /** something came from the server */
  readonly heard: () => void
  readonly ended: (exchange: Exchange) => void
}

/** See the module. */
export class Exchange implements Receiver {
  readonly #sender: Sender
  readonly #start: URL
  readonly #asker: Asker
  readonly #owner: Owner
  #request: HttpRequest
  #transmission: Transmission | undefined = undefined
  #body: Body | undefined = undefined
  #decoder: Decoding.Decoder | undefined = undefined
  #followed = 0
  #isOver = false
  /** whether the response that redirects is still being read */
  #isRedirected = false
  /** what ended it, where what has come before is still being decoded */
  #failure: Failure.Failure | undefined = undefined

  constructor(sender: Sender, request: HttpRequest, asker: Asker, owner: Owner) {
    this.#owner = owner
    this.#sender = sender
    this.#start = request.url
    this.#request = request
    this.#asker = asker
  }

  /** Begins it. What it hears may come before this returns. */
  send(): this {
    this.#transmission = this.#sender.send(this.#request, this)
    if (this.#isOver || this.#isRedirected) this.#transmission.abort()
    return this
  }

  /** Nobody wants the rest. */
  abort(): void {
    if (this.#isOver) return
    this.#transmission?.abort()
    this.#free()
    this.#done()
  }

  maySend(): boolean {
    return this.#asker.maySend?.() ?? true
  }

  onSending(): void {
    this.#asker.onSending?.()
  }

  onHead(head: Head): void {
    if (this.#isOver) return
    const to = this.#followed < Redirect.most ? Redirect.target(this.#request, head, this.#start) : undefined
    if (to !== undefined) return this.#follow(to)
    this.#owner.heard()
    const body = this.#asker.onHead(head, this)
    // whoever hears of the response may have ended the exchange at once
    if (this.#isOver) return body.onOver?.()
    this.#body = body
    const coding = head.header("content-encoding")
    if (!Decoding.isEncoded(coding)) return
    this.#decoder = Decoding.make(coding, {
      onData: (chunk) => this.#read(chunk),
      onEnd: () => (this.#failure === undefined ? this.#end() : this.#fail(this.#failure)),
      onError: () => this.#fail(this.#failure ?? undecodable),
      onDrain: () => this.#transmission?.resume()
    })
    if (this.#decoder === undefined) this.#fail(undecodable)
  }

  onData(chunk: Uint8Array): void {
    if (this.#isOver || this.#isRedirected) return
    if (this.#decoder === undefined) return this.#read(chunk)
    if (!this.#decoder.write(chunk)) this.#transmission?.pause()
  }

  onEnd(): void {
    if (this.#isRedirected) return
    if (this.#decoder === undefined) return this.#end()
    this.#decoder.end()
  }

  onError(error: unknown, progress: Progress): void {
    if (this.#isRedirected) return
    const failure = Failure.of(error, this.#followed > 0 ? "sent" : progress)
    if (this.#isOver || this.#decoder === undefined) return this.#fail(failure)
    // what came before it is still being decoded, and may be all that was awaited
    this.#failure = failure
    this.#decoder.end()
  }

  #follow(to: URL): void {
    this.#followed++
    this.#isRedirected = true
    this.#transmission?.abort()
    this.#request = { ...this.#request, url: to }
    // In its own turn: the response that redirects is still being read.
    queueMicrotask(() => {
      this.#isRedirected = false
      if (!this.#isOver) this.send()
    })
  }

  #read(chunk: Uint8Array): void {
    if (!this.#isOver) this.#body?.onData(chunk)
  }

  #end(): void {
    if (this.#isOver) return
    this.#free()
    this.#body?.onEnd()
    this.#done()
  }

  #fail(failure: Failure.Failure): void {
    if (this.#isOver) return
    this.#transmission?.abort()
    this.#free()
    if (this.#body === undefined) this.#asker.onFailure(failure)
    else this.#body.onFailure(failure)
    this.#done()
  }

  #done(): void {
    this.#owner.ended(this)
    this.#asker.onOver?.()
  }

  #free(): void {
    this.#isOver = true
    this.#decoder?.destroy()
    this.#body?.onOver?.()
  }
}
