/**
 * Hearing of changes across the sessions of a backend: on each for as long as it lives, beside its calls. It is no use of the backend: it
 * wakes none that is idle, holds no session that drains, and is no reason to probe.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { all, type Change, type Filter } from "../Changes.ts"
import type { Closings } from "./closings.ts"
import type { OpenSession } from "./sessionCell.ts"
import { WaitingChanges } from "./waitingChanges.ts"

/** What it needs of its backend. */
export interface Port {
  readonly fork: (effect: Effect.Effect<never>) => Fiber.Fiber<never>
  readonly closings: Closings
}

/** Who is told. */
export interface Reader {
  /** there is something to take */
  readonly told: () => void
  /** there will be nothing any more */
  readonly end: () => void
}

/** What is heard, and by whom. */
export interface Options {
  readonly filter: Filter
  /** whether its beginning is as a gap */
  readonly initially: boolean
  readonly reader: Reader
}

/** See the module. */
export class Listening {
  readonly #port: Port
  readonly #filter: Filter
  readonly #reader: Reader
  readonly #waiting: WaitingChanges
  #open: OpenSession<unknown> | undefined
  #fiber: Fiber.Fiber<never> | undefined
  /** what may have changed in the gap before the next opening; `undefined` where there was nothing before */
  #heard: Filter | undefined

  constructor(port: Port, { filter, initially, reader }: Options) {
    const uris = new Set(filter.uris)
    this.#port = port
    this.#filter = { ...filter, uris: [...uris] }
    this.#heard = initially ? this.#filter : undefined
    this.#reader = reader
    this.#waiting = new WaitingChanges(uris)
  }

  /** There is a session, in place of the one before. */
  begin(open: OpenSession<unknown>): void {
    void this.end()
    this.#open = open
    const { listen } = open.session
    if (listen === undefined) return this.#opened(open, this.#filter)
    // a transport that throws as it is asked is as one whose listening dies
    const listening = Effect.suspend(() =>
      listen(this.#filter, {
        opened: (honored) => this.#opened(open, honored),
        changed: (change) => this.#changed(open, change)
      })
    )
    const fiber = this.#port.fork(listening)
    if (this.#open === open) this.#fiber = fiber
    else this.#stop(fiber)
  }

  /** There is no session. What goes on is ended, and its end is awaited as that of a session is. */
  end(): Fiber.Fiber<never> | undefined {
    const fiber = this.#fiber
    this.#open = undefined
    this.#fiber = undefined
    if (fiber !== undefined) this.#stop(fiber)
    return fiber
  }

  /** There will be no session any more. */
  close(): void {
    void this.end()
    this.#reader.end()
  }

  take(): ReadonlyArray<Change> {
    return this.#waiting.take()
  }

  #stop(fiber: Fiber.Fiber<never>): void {
    fiber.interruptUnsafe()
    if (fiber.pollUnsafe() === undefined) this.#port.closings.add(Fiber.await(fiber))
  }

  /** After a gap everything may have changed that was heard of before it, or is now. */
  #opened(open: OpenSession<unknown>, honored: Filter): void {
    if (this.#open !== open) return
    const before = this.#heard
    this.#heard = honored
    if (before === undefined) return
    for (const change of [...all(before), ...all(honored)]) this.#waiting.add(change)
    this.#reader.told()
  }

  #changed(open: OpenSession<unknown>, change: Change): void {
    if (this.#open !== open) return
    this.#waiting.add(change)
    this.#reader.told()
  }
}

/** What was heard. */
export interface Heard {
  /** what has changed since it was taken last */
  readonly take: () => ReadonlyArray<Change>
  /** Nobody reads any more: done when the server has been told, as far as it is. */
  readonly end: Effect.Effect<void>
}

/** Hears of changes on every session, those to come included. */
export const hear = (
  port: Port,
  sessions: { readonly listen: (listening: Listening) => () => void },
  options: Options
): Heard => {
  const listening = new Listening(port, options)
  const stop = sessions.listen(listening)
  return {
    take: () => listening.take(),
    end: Effect.suspend(() => {
      stop()
      const fiber = listening.end()
      return fiber === undefined ? Effect.void : Effect.asVoid(Fiber.await(fiber))
    })
  }
}
