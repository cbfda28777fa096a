/**
 * Until when it is certain that nobody else has a shard: pure, by both clocks. The monotonic clock stands still where a machine sleeps, and the wall
 * clock may be set back: what one of them does not see the other does.
 */

/** A moment, in milliseconds by both clocks. */
export interface Moment {
  readonly monotonic: number
  readonly wall: number
}

/** What is known of a shard, and from when. */
interface Known {
  readonly isHeld: boolean
  readonly asked: Moment
}

/** What is certain, by the name of the shard. */
export class Certainty {
  readonly #known = new Map<string, Known>()
  readonly #span: number

  /** `span`: for how many milliseconds after it was asked for a confirmation holds. */
  constructor(span: number) {
    this.#span = span
  }

  /**
   * The storage has said which of these shards this process has, asked at that moment: the answer may have been long under way. The others it has no more. What
   * it was asked later counts, also where that was answered before.
   */
  answered(shards: Iterable<string>, held: ReadonlySet<string>, asked: Moment): void {
    for (const shard of shards) this.#know(shard, { isHeld: held.has(shard), asked })
  }

  /** It is given back, from that moment on. */
  forget(shard: string, at: Moment): void {
    this.#know(shard, { isHeld: false, asked: at })
  }

  forgetAll(at: Moment): void {
    for (const shard of this.#known.keys()) this.forget(shard, at)
  }

  /** For how many milliseconds a shard is certain; none, or less, where it is not. */
  left(shard: string, now: Moment): number {
    const known = this.#known.get(shard)
    if (known === undefined || !known.isHeld) return 0
    const wall = now.wall - known.asked.wall
    // By a wall clock that was set back nobody knows for how long the machine has slept.
    if (wall < 0) return 0
    return this.#span - Math.max(now.monotonic - known.asked.monotonic, wall)
  }

  #know(shard: string, known: Known): void {
    const before = this.#known.get(shard)
    if (before === undefined || before.asked.monotonic <= known.asked.monotonic) this.#known.set(shard, known)
  }
}
