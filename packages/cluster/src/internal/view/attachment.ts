/**
 * What this process hears of a backend that another one keeps: which session there is, and what the server says in it. It goes on from one owner to the next.
 */
import { Message, type Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type { Heard, Session } from "../protocol.ts"

/** A session elsewhere: what a client of it sees. */
export interface Known {
  readonly era: "legacy" | "modern"
  /** the same object for as long as it is the same session */
  readonly server: Peer.Server
  readonly listeners: Set<Peer.Listener>
  isOver: boolean
}

/** How long an answer waits at most for what the server had sent before it. */
const longestWait = "2 seconds"

export class Attachment {
  readonly #sessions = new Map<string, Known>()
  readonly #looks = new Set<() => void>()
  #newest: Known | undefined
  #isAttached = false
  /** the number of the last notification that has come */
  #delivered = 0
  #labels = 0

  // -------------------------------------------------------------------------------------------------- from the owner

  /** `undefined`: the owner tells nothing any more. */
  take(heard: Heard | undefined): void {
    // What cannot be read is left out: it must not end the hearing of what comes after it.
    quietly(() => this.#took(heard))
    for (const look of this.#looks) look()
  }

  #took(heard: Heard | undefined): void {
    switch (heard?._tag) {
      case "Attached":
        this.#isAttached = true
        this.#delivered = 0
        for (const key of this.#sessions.keys()) if (key !== heard.session?.key) this.#over(key)
        if (heard.session !== undefined) this.#began(heard.session)
        break
      case "Began":
        this.#began(heard.session)
        break
      case "Over":
        this.#over(heard.key)
        break
      case "Notified":
        this.#delivered = heard.n
        this.#notified(heard)
        break
      case undefined:
        this.#isAttached = false
        for (const key of this.#sessions.keys()) this.#over(key)
    }
  }

  #began(session: Session): void {
    const known = this.#sessions.get(session.key) ?? knownOf(session, false)
    this.#sessions.set(session.key, known)
    this.#newest = known
  }

  #notified({ json, key, label }: Extract<Heard, { readonly _tag: "Notified" }>): void {
    const listeners = this.#sessions.get(key)?.listeners
    if (listeners === undefined || listeners.size === 0) return
    const notification: unknown = JSON.parse(json)
    const message = Message.of(notification)
    if (message === undefined || !("method" in message) || "id" in message) return
    const about = label === undefined ? {} : { relatedRequestId: label }
    for (const { onNotification } of [...listeners]) quietly(() => onNotification(message, about))
  }

  #over(key: string): void {
    const known = this.#sessions.get(key)
    this.#sessions.delete(key)
    if (known === undefined) return
    known.isOver = true
    if (this.#newest === known) this.#newest = undefined
    for (const { onClose } of [...known.listeners]) quietly(() => onClose?.())
    known.listeners.clear()
  }

  // ------------------------------------------------------------------------------------------------------ for callers

  /** the session that is open now, as far as that is known */
  get newest(): Known | undefined {
    return this.#newest
  }

  /** A session that was open a moment ago: that it was is told here, too, unless it is over by now. */
  met(session: Session): Effect.Effect<Known> {
    return Effect.map(
      Effect.timeoutOption(
        this.#when(() => this.#newest !== undefined),
        longestWait
      ),
      () => this.#newest ?? knownOf(session, true)
    )
  }

  /** By which a request is known here: larger than those before it. */
  label(own: number | undefined): number {
    const label = own ?? this.#labels
    this.#labels = Math.max(this.#labels, label) + 1
    return label
  }

  /** Waits until an owner tells. */
  get attached(): Effect.Effect<void> {
    return this.#when(() => this.#isAttached)
  }

  /**
   * Waits until everything has come that the server had sent before: as long as the owner tells, and not for long. `undefined` where it has.
   */
  told(n: number): Effect.Effect<unknown> | undefined {
    const hasCome = () => !this.#isAttached || this.#delivered >= n
    return hasCome() ? undefined : Effect.timeoutOption(this.#when(hasCome), longestWait)
  }

  #when(holds: () => boolean): Effect.Effect<void> {
    return Effect.callback((resume) => {
      const look = () => void (holds() && resume(Effect.void))
      this.#looks.add(look)
      look()
      return Effect.sync(() => void this.#looks.delete(look))
    })
  }
}

/** What a listener of the user's throws must not end the hearing, nor what the others hear: it has no better place to go to than where it comes from. */
const quietly = (tell: () => void): void => {
  try {
    tell()
  } catch {}
}

const knownOf = ({ era, server }: Session, isOver: boolean): Known => ({
  era,
  server: JSON.parse(server),
  listeners: new Set(),
  isOver
})
