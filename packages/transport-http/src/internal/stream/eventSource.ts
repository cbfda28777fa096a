/**
 * One connection that is asked for events: those that a server sends of its own accord, or those that followed an event.
 */
import { Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type { Body, Exchange } from "../http/exchange.ts"
import * as Drain from "../http/drain.ts"
import * as Failure from "../http/failure.ts"
import { mediaType } from "../http/sender.ts"
import type { Wire } from "../session/wire.ts"
import type { EventStreamReader } from "./eventStream.ts"

/** An open stream of events. */
export interface EventSource {
  /** whether it has ended */
  readonly isOver: boolean
  /** whether the server ended it as HTTP says that a body ends */
  readonly endedByServer: boolean
  /** resolves when it has ended, or was dropped */
  readonly end: Promise<void>
  readonly drop: () => void
}

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
      const stream = new Stream(options)
      const headers = wire.headers("text/event-stream", authorization)
      if (options.after !== undefined) headers["last-event-id"] = options.after
      const exchange = wire.exchange(
        { method: "GET", headers },
        {
          onHead: (head) => {
            if (head.status === 401 || head.status === 403) wire.authorization?.challenged(head)
            if (head.status === 200 && mediaType(head) === "text/event-stream") {
              resume(Effect.succeed(stream))
              return stream
            }
            resume(Effect.fail(head.status === 200 ? Evidence.transportFailure("protocol") : wire.refusal(head)))
            return Drain.body(() => exchange?.abort())
          },
          onFailure: (failure) => resume(Effect.fail(Failure.evidenceOf(failure))),
          onOver: () => {
            stream.over()
            resume(Effect.fail(Evidence.transportFailure("closed")))
          }
        }
      )
      if (exchange === undefined) resume(Effect.fail(Evidence.transportFailure("closed")))
      else stream.attach(exchange)
      return Effect.sync(() => exchange?.abort())
    })
  )

/** The access token of an OAuth provider, where there is one. */
export const token = ({ authorization }: Wire): Effect.Effect<string | undefined, Evidence.Evidence> =>
  authorization === undefined
    ? Effect.succeed(undefined)
    : Effect.tryPromise({ try: () => authorization.token(), catch: () => Evidence.transportFailure("auth") })

class Stream implements EventSource, Body {
  readonly end: Promise<void>
  isOver = false
  endedByServer = false
  readonly #options: Options
  #exchange: Exchange | undefined = undefined
  #isDropped = false
  #resolve: () => void = () => {}

  constructor(options: Options) {
    this.#options = options
    this.end = new Promise((resolve) => {
      this.#resolve = resolve
    })
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

  over(): void {
    this.isOver = true
    this.#options.onOver?.()
    this.#resolve()
  }

  onData(chunk: Uint8Array): void {
    const { onBytes, onExceeded, reader } = this.#options
    onBytes()
    if (reader.push(chunk) || this.#isDropped) return
    this.drop()
    onExceeded(reader.exceeded ?? "an event stream")
  }

  onEnd(): void {
    this.endedByServer = true
  }

  onFailure(): void {}
}
