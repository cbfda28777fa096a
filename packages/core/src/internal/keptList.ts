/**
 * One list of one backend: what the server said last, and what it lists no longer but may list again in a moment. It decides what
 * is told of it.
 */
import type { Entry } from "../Lists.ts"
import * as Table from "./table.ts"

/** How a list differs from what was told of it before. */
export interface Difference {
  readonly added: ReadonlyArray<string>
  readonly removed: ReadonlyArray<string>
  readonly changed: ReadonlyArray<string>
}

/** An entry that the server lists no longer. */
interface Leaving {
  readonly name: string
  readonly fingerprint: number
  /** when it is removed, in monotonic milliseconds */
  readonly until: number
}

/**
 * How many of those may stay: as many as a list may have. A server that lists other names each time it is asked would fill the memory
 * for as long as the grace takes; of more, the first to leave are removed at once.
 */
export const mostLeaving = 10_000

/** See the module. */
export class KeptList {
  #table = Table.empty
  /** in the order in which they left, and are removed */
  #leaving: ReadonlyArray<Leaving> = none

  /** Whether nothing is known of it that must be kept. */
  get isEmpty(): boolean {
    return this.#table === Table.empty && this.#leaving.length === 0
  }

  /** when the next entry is removed, in monotonic milliseconds; `undefined` where none leaves */
  get nextRemoval(): number | undefined {
    let next: number | undefined
    for (const { until } of this.#leaving) if (next === undefined || until < next) next = until
    return next
  }

  /** The server has listed this. What it does not list any more is removed when `until` has come. */
  take(table: Table.Table, now: number, until: number): Difference {
    const added: Array<string> = []
    const changed: Array<string> = []
    const left: Array<Leaving> = []
    const leaving = new Map(this.#leaving.map((entry) => [entry.name, entry]))
    Table.compare(this.#table, table, {
      added: (name, fingerprint) => {
        const before = leaving.get(name)
        leaving.delete(name)
        if (before === undefined) added.push(name)
        else if (before.fingerprint !== fingerprint) changed.push(name)
      },
      removed: (name, fingerprint) => void left.push({ name, fingerprint, until }),
      changed: (name) => void changed.push(name)
    })
    this.#table = table
    this.#leaving = [...leaving.values(), ...left]
    return { added, changed, removed: this.expire(now) }
  }

  /** Removes what was to be removed by then, and says what it was. */
  expire(now: number): ReadonlyArray<string> {
    const all = this.#leaving
    if (all.length === 0) return none
    const surplus = all.length - mostLeaving
    const isOver = ({ until }: Leaving, index: number) => until <= now || index < surplus
    const over = all.filter(isOver)
    if (over.length === 0) return none
    const left = all.filter((entry, index) => !isOver(entry, index))
    this.#leaving = left.length === 0 ? none : left
    return over.map(({ name }) => name).toSorted()
  }

  /** All of it, by name. */
  get entries(): ReadonlyArray<Entry> {
    const { fingerprints, names } = this.#table
    const entries = names.map((name, index): Entry => ({ name, fingerprint: fingerprints[index] ?? 0, removed: false }))
    if (this.#leaving.length === 0) return entries
    for (const { fingerprint, name } of this.#leaving) entries.push({ name, fingerprint, removed: true })
    return entries.toSorted((one, other) => (one.name < other.name ? -1 : 1))
  }
}

const none: ReadonlyArray<never> = []
