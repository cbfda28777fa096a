/**
 * Until when it is certain that nobody else has a shard: pure, by both clocks. The monotonic clock stands still where a machine sleeps, and the wall
 * clock may be set back: what one of them does not see the other does.
 */

/** A moment, in milliseconds by both clocks. */
export interface Moment {
  readonly monotonic: number
  readonly wall: number
}

/** What is certain, by the name of the shard. */
export class Certainty {
  readonly #until = new Map<string, Moment>()
  readonly #span: number

  /** `span`: for how many milliseconds after it was asked for a confirmation holds. */
  constructor(span: number) {
    this.#span = span
  }

  /** The storage has confirmed what it was asked at that moment: the answer may have been long under way. */
  confirm(shards: Iterable<string>, asked: Moment): void {
    const until = { monotonic: asked.monotonic + this.#span, wall: asked.wall + this.#span }
    for (const shard of shards) this.#until.set(shard, until)
  }

  forget(shard: string): void {
    this.#until.delete(shard)
  }

  forgetAll(): void {
    this.#until.clear()
  }

  /** For how many milliseconds a shard is certain; none, or less, where it is not. */
  left(shard: string, now: Moment): number {
    const until = this.#until.get(shard)
    if (until === undefined) return 0
    const left = Math.min(until.monotonic - now.monotonic, until.wall - now.wall)
    // A wall clock that was set back would make it last longer than it was promised.
    return left > this.#span ? 0 : left
  }
}
