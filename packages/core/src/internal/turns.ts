/**
 * Signals are taken one after the other, also those that arise while one is taken; code of others is resumed when there is
 * none left to take, and never in the midst of one.
 */

/** Whose signals they are. */
export interface Taker<Signal> {
  readonly take: (signal: Signal) => void
  /** neither a signal nor a resumption is left; it may bring new ones */
  readonly atRest: () => void
}

/** See the module. */
export class Turns<Signal> {
  readonly #taker: Taker<Signal>
  readonly #signals = new Queue<Signal>()
  readonly #resumptions = new Queue<() => void>()
  #isTaking = false
  #isResuming = false

  constructor(taker: Taker<Signal>) {
    this.#taker = taker
  }

  send(signal: Signal): void {
    this.#signals.add(signal)
    this.settle()
  }

  /** Resumes others when no signal is left. */
  later(resume: () => void): void {
    this.#resumptions.add(resume)
  }

  /** Takes what is left and resumes them now, if nothing is under way. */
  settle(): void {
    if (this.#isTaking) return
    this.#isTaking = true
    try {
      for (let signal = this.#signals.next(); signal; signal = this.#signals.next()) this.#taker.take(signal)
    } finally {
      this.#isTaking = false
    }
    if (this.#isResuming) return
    this.#isResuming = true
    try {
      while (true) {
        let resume = this.#resumptions.next()
        if (!resume) {
          this.#taker.atRest()
          resume = this.#resumptions.next()
        }
        if (!resume) return
        resume()
      }
    } finally {
      this.#isResuming = false
    }
  }
}

/** First in, first out. Not by `shift`, which moves all that is behind: with it, 100,000 waiters took 20 s. */
class Queue<A> {
  // nothing is held while it is empty, as it mostly is
  #taking: Array<A | undefined> | undefined
  #taken = 0
  #adding: Array<A> | undefined

  add(item: A): void {
    if (this.#adding === undefined) this.#adding = [item]
    else this.#adding.push(item)
  }

  next(): A | undefined {
    if (this.#taking === undefined || this.#taken === this.#taking.length) {
      this.#taking = this.#adding
      this.#adding = undefined
      this.#taken = 0
    }
    const item = this.#taking?.[this.#taken]
    if (this.#taking !== undefined) this.#taking[this.#taken++] = undefined
    return item
  }
}
