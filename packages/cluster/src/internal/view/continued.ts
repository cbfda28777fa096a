/**
 * What a backend tells from one owner to the next, made one story: that no process keeps it is told as a state, and the session that the
 * next owner had already opened when it was first heard as if it were opened then.
 */
import type { ConnectionState, KeepaliveEvent } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import type { Told } from "../protocol.ts"
import { unkeptSince } from "./reach.ts"

type State = ConnectionState.ConnectionState
type Event = KeepaliveEvent.KeepaliveEvent

/** What an owner tells, and that it tells nothing any more. */
export type Heard = Told | { readonly _tag: "Ended" }

/** One for each reader. */
export class Continued {
  readonly #backend: string
  readonly #now: () => number
  #state: State | undefined

  constructor(backend: string, now: () => number) {
    this.#backend = backend
    this.#now = now
  }

  take(told: Heard): ReadonlyArray<Event> {
    switch (told._tag) {
      case "Began": {
        const before = this.#state
        this.#state = told.state
        if (before === undefined) return []
        return [...this.#changed(before, told.state), ...this.#opened(told.state)]
      }
      case "Happened": {
        const { event } = told
        if (event._tag !== "StateChanged") return [event]
        this.#state = event.to
        // its scope has ended, but not the backend
        return event.to._tag === "Closed" ? this.#lost(event.from) : [event]
      }
      case "Ended":
        return this.#state === undefined || this.#state._tag === "Disconnected" ? [] : this.#lost(this.#state)
    }
  }

  #lost(from: State): ReadonlyArray<Event> {
    this.#state = unkeptSince(this.#now())
    return this.#changed(from, this.#state)
  }

  #changed(from: State, to: State): ReadonlyArray<Event> {
    return [{ _tag: "StateChanged", backend: this.#backend, at: this.#now(), from, to }]
  }

  #opened(state: State): ReadonlyArray<Event> {
    if (state._tag !== "Connected" && state._tag !== "Unhealthy") return []
    const { generation } = state
    return [{ _tag: "AttemptSucceeded", backend: this.#backend, at: this.#now(), generation, duration: Duration.zero }]
  }
}

/** The same of states alone: each as it is told, `undefined` where an owner has ended. */
export const states = (now: () => number): ((told: State | undefined) => ReadonlyArray<State>) => {
  let before: State | undefined
  return (told) => {
    const state = told === undefined || told._tag === "Closed" ? undefined : told
    if (state === undefined && before?._tag === "Disconnected") return []
    before = state ?? unkeptSince(now())
    return [before]
  }
}
