/**
 * The sessions of one backend: the current one, the one that an attempt has opened and nobody has adopted yet, and those that
 * drain. Which of them is let go of, and when, is the table's matter.
 */
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { Action } from "../engine/Action.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import type { Kind } from "../Lists.ts"
import type { Listening } from "./listening.ts"
import { Lists, type Port as ListsPort } from "./lists.ts"
import { millisOf } from "./millis.ts"
import type { OpenSession } from "./sessionCell.ts"

/** What the sessions need of their backend. */
export interface Port extends ListsPort {
  /** runs code of others, once the signal that is being taken has had its effect */
  readonly later: (resume: () => void) => void
  /** does so now, unless a signal is being taken */
  readonly settle: () => void
}

/** See the module. */
export class Sessions<Client> {
  readonly #port: Port
  #current: OpenSession<Client> | undefined
  #draining: ReadonlyArray<OpenSession<Client>> = none
  /** what the server lists */
  readonly lists: Lists
  /** who hears of changes, where anybody does */
  #listeners: Set<Listening> | undefined
  /** opened by the attempt that runs, and not adopted yet */
  candidate: OpenSession<Client> | undefined
  /** what was seen when the last session or attempt failed, while there is no session */
  detail: FailureDetail | undefined

  constructor(port: Port) {
    this.#port = port
    this.lists = new Lists(port)
  }

  get current(): OpenSession<Client> | undefined {
    return this.#current
  }

  get areDraining(): boolean {
    return this.#draining.length > 0
  }

  /** The one with that number, if it is the current one or drains. */
  of(generation: number): OpenSession<Client> | undefined {
    return this.#current?.generation === generation
      ? this.#current
      : this.#draining.find((open) => open.generation === generation)
  }

  /** Makes the candidate the current one. The one before drains, until it is dropped. */
  adopt(): void {
    const open = this.candidate
    if (open === undefined) return
    this.candidate = undefined
    this.detail = undefined
    if (this.#current) this.#drain(this.#current)
    this.#current = open
    this.lists.read(open)
    if (this.#listeners !== undefined) for (const listening of this.#listeners) listening.begin(open)
  }

  /** Hears of changes on each session, until what this returns is called. */
  listen(listening: Listening): () => void {
    const listeners = (this.#listeners ??= new Set())
    listeners.add(listening)
    if (this.#current !== undefined) listening.begin(this.#current)
    return () => {
      listeners.delete(listening)
      if (this.#listeners?.size === 0) this.#listeners = undefined
    }
  }

  /** Nothing is read or heard any more. */
  stop(): void {
    this.lists.stop()
    if (this.#listeners !== undefined) for (const listening of this.#listeners) listening.close()
    this.#listeners = undefined
  }

  /** Closes the candidate, which nobody will adopt. */
  abandon(): void {
    const open = this.candidate
    this.candidate = undefined
    if (open !== undefined) this.#port.closings.add(Scope.close(open.scope, Exit.void))
  }

  /** Lets go of a session: at once, or when its calls have ended by themselves, within a bound. */
  drop({ drain, generation, reason }: Extract<Action, { _tag: "Drop" }>): void {
    const open = this.of(generation)
    if (open === undefined) return
    // what was seen before it was closed on purpose is not why
    if (reason === "closed") open.detail = undefined
    if (open === this.#current) {
      this.#current = undefined
      this.detail = open.detail
      this.lists.pause()
      if (this.#listeners !== undefined) for (const listening of this.#listeners) listening.end()
    }
    if (drain === undefined) return this.#finish(open, reason)
    open.draining = reason
    this.#drain(open)
    if (open.calls.size === 0) return this.#finish(open, reason)
    const { deadlines, policy } = this.#port
    this.#port.emit({ _tag: "SessionDraining", generation, reason })
    const endsAt = deadlines.now() + millisOf(policy[drain])
    open.drainEnds = deadlines.set(endsAt, () => this.#finish(open, reason))
  }

  dropDraining(): void {
    for (const open of this.#draining) this.#finish(open, open.draining ?? "closed")
  }

  /** A call has ended: a session that drains may close. */
  released(open: OpenSession<unknown>): void {
    if (open.draining !== undefined && open.calls.size === 0) this.#finish(open, open.draining)
  }

  /** The transport says that the session is dead. */
  lost(generation: number, reason: FailureReason, detail: FailureDetail | undefined): void {
    const open = this.of(generation)
    if (open === undefined) return
    // that its server has forgotten it is known, and what is under way on it is waited for
    if (reason === "session_lost" && open.draining === "session_lost") return
    open.detail = detail
    // the table knows of the current session only: what happens to one that drains leads to nothing but its end
    if (open === this.#current) this.detail = detail
    else this.#finish(open, reason)
  }

  /** The server says so on a session. What is not read yet is read anyway. */
  listChanged(generation: number, kind: Kind): void {
    if (this.#current?.generation === generation) this.lists.changed(kind)
  }

  #drain(open: OpenSession<Client>): void {
    if (!this.#draining.includes(open)) this.#draining = [...this.#draining, open]
  }

  #finish(open: OpenSession<unknown>, reason: FailureReason): void {
    if (open.ended !== undefined) return
    const port = this.#port
    open.ended = reason
    open.seen.muted = true
    this.#draining = this.#draining.filter((each) => each !== open)
    port.deadlines.cancel(open.drainEnds)
    port.emit({ _tag: "SessionClosed", generation: open.generation, reason, detail: open.detail?.summary })
    for (const call of open.calls.take()) port.later(() => call.abandon(reason))
    port.closings.add(Scope.close(open.scope, Exit.void))
    port.settle()
  }
}

const none: ReadonlyArray<never> = []
