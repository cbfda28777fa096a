/**
 * One connection that is asked for events: those that a server sends of its own accord, or those that followed an event.
 */
import { Buffer } from "node:buffer"
import { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type { Asker, Body, Exchange } from "../http/exchange.ts"
import * as Drain from "../http/drain.ts"
import * as Failure from "../http/failure.ts"
import { type Head, mediaType } from "../http/sender.ts"
import type { Wire } from "../session/wire.ts"
import type { EventStreamReader } from "./eventStream.ts"

/** An open stream of events. */
export interface EventSource {
  /** whether it has ended */
  readonly isOver: boolean
  /** whether the server ended it as HTTP says that a body ends */
  readonly endedByServer: boolean
  /** Calls this when it has ended, or was dropped; at once where it has. */
  readonly whenOver: (ended: () => void) => void
  readonly drop: () => void
}

/** Waits until one has ended, or was dropped. */
export const ended = (source: EventSource): Effect.Effect<void> =>
  Effect.callback((resume) => source.whenOver(() => resume(Effect.void)))

/** Who reads it. */
export interface Options {
  readonly reader: EventStreamReader
  /** ask for what followed this event */
  readonly after?: string | undefined
  /** bytes came */
  readonly onBytes: () => void
  /** a bound is exceeded; nothing more is read */
  readonly onExceeded: (what: string) => void
  /** it has ended, or was dropped */
  readonly onOver?: (() => void) | undefined
}

/** Opens one; fails with what was seen instead. It lives until it ends or is dropped; an interruption is for the opening. */
export const open = (wire: Wire, options: Options): Effect.Effect<EventSource, Evidence.Evidence> =>
  Effect.flatMap(token(wire), (authorization) =>
    Effect.callback((resume) => {
      const headers = wire.headers("text/event-stream", authorization)
      if (options.after !== undefined) headers["last-event-id"] = Buffer.from(options.after, "utf8").toString("latin1")
      const opening = new Opening(wire, new Stream(options), resume)
      opening.began(wire.isOver ? undefined : wire.exchange({ method: "GET", headers }, opening))
      return Effect.sync(opening.stream.drop)
    })
  )

/** The access token of an OAuth provider, where there is one. */
export const token = ({ authorization }: Wire): Effect.Effect<string | undefined, Evidence.Evidence> =>
  authorization === undefined
    ? Effect.succeed(undefined)
    : Effect.tryPromise({ try: () => authorization.token(), catch: () => Evidence.transportFailure("auth") })

/** Takes what came of the opening. */
type Settle = (opened: Effect.Effect<EventSource, Evidence.Evidence>) => void

/** The request for it. It is held for as long as the stream is, in every idle session: a class, and no closures. */
class Opening implements Asker {
  readonly stream: Stream
  readonly #wire: Wire
  /** let go of once it is used: it holds the fiber that waits */
  #settle: Settle | undefined

  constructor(wire: Wire, stream: Stream, settle: Settle) {
    this.#wire = wire
    this.stream = stream
    this.#settle = settle
  }

  began(exchange: Exchange | undefined): void {
    if (exchange === undefined) this.#opened(Effect.fail(Evidence.transportFailure("closed")))
    else this.stream.attach(exchange)
  }

  onHead(head: Head): Body {
    const { status } = head
    if (status === 401 || status === 403) this.#wire.authorization?.challenged(head)
    if (status === 200 && mediaType(head) === "text/event-stream") {
      this.#opened(Effect.succeed(this.stream))
      return this.stream
    }
    this.#opened(Effect.fail(status === 200 ? Evidence.transportFailure("protocol") : this.#wire.refusal(head)))
    return Drain.body(this.stream.drop)
  }

  onFailure(failure: Failure.Failure): void {
    this.#opened(Effect.fail(Failure.evidenceOf(failure)))
  }

  onOver(): void {
    this.stream.over()
    this.#opened(Effect.fail(Evidence.transportFailure("closed")))
  }

  #opened(result: Effect.Effect<EventSource, Evidence.Evidence>): void {
    this.#settle?.(result)
    this.#settle = undefined
  }
}

class Stream implements EventSource, Body {
  isOver = false
  endedByServer = false
  readonly #options: Options
  #exchange: Exchange | undefined = undefined
  #isDropped = false
  #whenOver: Array<() => void> | undefined = undefined

  constructor(options: Options) {
    this.#options = options
  }

  attach(exchange: Exchange): void {
    this.#exchange = exchange
    if (this.#isDropped) exchange.abort()
  }

  // Bound, since it is handed on.
  readonly drop = (): void => {
    this.#isDropped = true
    this.#exchange?.abort()
  }

  whenOver(ended: () => void): void {
    if (this.isOver) ended()
    else (this.#whenOver ??= []).push(ended)
  }

  over(): void {
    this.isOver = true
    this.#options.onOver?.()
    for (const ended of this.#whenOver?.splice(0) ?? []) ended()
  }

  onData(chunk: Uint8Array): void {
    const { reader } = this.#options
    this.#options.onBytes()
    if (reader.push(chunk) || this.#isDropped) return
    this.#options.onExceeded(reader.exceeded ?? "an event stream")
    this.drop()
  }

  onEnd(): void {
    this.endedByServer = true
  }

  onFailure(): void {}
}
