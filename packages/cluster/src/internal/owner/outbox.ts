/**
 * What waits to be told to one caller elsewhere: bounded, since a server may tell much and a caller be slow.
 */
import type { Heard } from "../protocol.ts"

/** How many notifications wait at most, and how many UTF-16 units of them. */
const most = 1024
const mostUnits = 16 * 1024 * 1024

export class Outbox {
  readonly #limits: { readonly most: number; readonly mostUnits: number }
  #waiting: Array<Heard> = []
  #units = 0

  constructor(limits = { most, mostUnits }) {
    this.#limits = limits
  }

  /**
   * With too many the oldest are left out, of those first that say that something happened (progress, log): what says that something has changed is true
   * for longer, and need not wait twice.
   */
  push(heard: Heard): void {
    if (heard._tag === "Notified") {
      if (heard.json.length > this.#limits.mostUnits) return
      if (isChange(heard)) this.#drop(this.#waiting.findIndex((other) => isChange(other) && other.json === heard.json))
      this.#units += heard.json.length
    }
    this.#waiting.push(heard)
    while (this.#waiting.length > this.#limits.most || this.#units > this.#limits.mostUnits) {
      const passing = this.#waiting.findIndex((other) => other._tag === "Notified" && !isChange(other))
      const oldest = passing === -1 ? this.#waiting.findIndex(({ _tag }) => _tag === "Notified") : passing
      // Sessions begin no faster than attempts are paced.
      if (oldest === -1) return
      this.#drop(oldest)
    }
  }

  take(): ReadonlyArray<Heard> {
    const taken = this.#waiting
    this.#waiting = []
    this.#units = 0
    return taken
  }

  #drop(at: number): void {
    const dropped = at === -1 ? undefined : this.#waiting[at]
    if (dropped === undefined) return
    this.#waiting.splice(at, 1)
    if (dropped._tag === "Notified") this.#units -= dropped.json.length
  }
}

type Notified = Extract<Heard, { readonly _tag: "Notified" }>

const isChange = (heard: Heard): heard is Notified => heard._tag === "Notified" && heard.isChange
