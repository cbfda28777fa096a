/**
 * Places for running calls, and for waiting ones, that several backends share.
 *
 * A backend takes a further place only while it holds fewer than are free. So one that is slow, or floods, gets half of them at
 * most, two such backends a third each, and what is left is there at once for whoever comes (the dynamic threshold of shared
 * packet buffers: Choudhury and Hahne, 1998). A place that is given back goes to the backends that wait in turn, one each.
 */

/** A backend, as its places are given. */
export interface Member {
  /** the call that has waited longest runs now, if it may */
  readonly grant: () => boolean
  /** whether a call waits for its turn */
  readonly isAwaited: boolean
}

/** The places that a `CallLimit` stands for. */
export const poolOf = (limit: unknown): Pool | undefined => (limit instanceof Pool ? limit : undefined)

/** See the module. */
export class Pool {
  readonly maxConcurrent: number
  readonly queue: number
  running = 0
  waiting = 0
  /** whose calls wait for their turn, the next one first */
  readonly #members = new Set<Member>()
  #isGranting = false

  constructor(maxConcurrent: number, queue: number) {
    this.maxConcurrent = maxConcurrent
    this.queue = queue
  }

  /** Whether a backend of which so many calls run may run another one. */
  mayRun(running: number): boolean {
    return running < this.maxConcurrent - this.running
  }

  /** Whether one of which so many calls wait may let another one wait. */
  mayWait(waiting: number): boolean {
    return waiting < this.queue - this.waiting
  }

  add(member: Member): void {
    this.#members.add(member)
  }

  delete(member: Member): void {
    this.#members.delete(member)
  }

  /** Whoever may run now does. */
  next(): void {
    // what runs now may end at once: the loop goes on, and not one call within the other
    if (this.#isGranting) return
    this.#isGranting = true
    try {
      while (this.running < this.maxConcurrent && this.#grant());
    } finally {
      this.#isGranting = false
    }
  }

  /** At most as many members as there are places hold one, and others may always take one: the search is short. */
  #grant(): boolean {
    for (const member of this.#members) {
      if (!member.grant()) continue
      // behind the others
      this.#members.delete(member)
      if (member.isAwaited) this.#members.add(member)
      return true
    }
    return false
  }
}
