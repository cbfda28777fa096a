/**
 * Lets attempts, or probes, begin as fast as the limits allow: so many at a time, and of one origin no more than that has room for.
 * Who finds room begins at once; the others wait in the order in which they came, and cost an entry in a list each. What holds a
 * permit is looked at when the next one begins: there is a deadline only while somebody waits.
 */
import * as Duration from "effect/Duration"
import type { Origin } from "../Connector.ts"
import type { Starts } from "../Starts.ts"
import { Chain, type Link } from "./chain.ts"
import type { Deadline, Deadlines } from "./deadlines.ts"
import { Heap, type Item } from "./heap.ts"

/** What holds at every instant. */
export interface Limits {
  /** permits at a time */
  readonly atOnce: number
  /** of them, permits of one origin that names no limit of its own */
  readonly perOrigin: number
  /** milliseconds after which a permit returns, whatever it was for */
  readonly hold: number
}

/** Something that begins once it has a permit: it waits, then holds one until it is done, at the longest for `hold`. */
export class Start implements Link<Start> {
  readonly origin: Origin | undefined
  /** called once, when it has its permit: within {@link Start.enter}, or later in a turn of its own */
  readonly begin: () => void
  readonly #pacer: Pacer
  /** where it begins; `undefined` before it has entered */
  place: Place | undefined
  /** what it is in: those that wait for the place, or those that hold a permit */
  chain: Chain<Start> | undefined
  before: Start | undefined
  after: Start | undefined
  /** while it waits, how many came before; then, when its permit returns by itself, in monotonic milliseconds */
  at = 0

  constructor(pacer: Pacer, origin: Origin | undefined, begin: () => void) {
    this.#pacer = pacer
    this.origin = origin
    this.begin = begin
  }

  /** Once: begins within this call where there is room and nobody waits for it, else as soon as there is. */
  enter(): void {
    this.#pacer.enter(this)
  }

  /** It waits no longer, or is done. Nothing for one that has not entered, or whose permit has returned. */
  leave(): void {
    this.#pacer.leave(this)
  }

  /** whether it has entered and not begun */
  get isWaiting(): boolean {
    return this.place !== undefined && this.chain === this.place.waiting
  }
}

/** An origin at which something begins or waits. */
class Place implements Item {
  readonly #usual: number
  /** as the last one that entered has it */
  origin: Origin | undefined
  readonly waiting = new Chain<Start>()
  held = 0
  index = -1

  /** `usual`: the limit of an origin that names none */
  constructor(origin: Origin | undefined, usual: number) {
    this.origin = origin
    this.#usual = usual
  }

  /** the number of the one that waits longest */
  get at(): number {
    return this.waiting.first?.at ?? Number.POSITIVE_INFINITY
  }

  /** The limit may be another one each time. */
  get hasRoom(): boolean {
    return this.origin === undefined || this.held < Math.max(1, this.origin.limit ?? this.#usual)
  }
}

/** See the module. Of one kind of start, on one clock. */
export class Pacer {
  readonly #limits: Limits
  readonly #deadlines: Deadlines
  /** in the order in which their permits return by themselves */
  readonly #holding = new Chain<Start>()
  #held = 0
  /** of those without an origin */
  readonly #nowhere: Place
  /** the others at which somebody waits or holds a permit */
  readonly #places = new Map<string, Place>()
  /** those that have room, and at which somebody waits */
  readonly #ready = new Heap<Place>()
  #waiting = 0
  #came = 0
  #next: Deadline | undefined
  #nextAt = Number.POSITIVE_INFINITY
  #isGiving = false

  constructor(limits: Limits, deadlines: Deadlines) {
    this.#limits = limits
    this.#deadlines = deadlines
    this.#nowhere = new Place(undefined, limits.perOrigin)
  }

  enter(start: Start): void {
    const now = this.#deadlines.now()
    this.#takeBack(now)
    const place = this.#placeOf(start.origin)
    start.place = place
    if (this.#held < this.#limits.atOnce && place.hasRoom && this.#ready.first === undefined) {
      this.#give(start, place, now)
      return start.begin()
    }
    start.at = this.#came++
    start.chain = place.waiting
    place.waiting.add(start)
    this.#waiting++
    this.#look(place)
    this.#arm(now)
  }

  leave(start: Start): void {
    const { chain, place } = start
    if (chain === undefined || place === undefined) return
    this.#takeOut(start, chain, place)
    if (this.#waiting > 0) this.#arm(this.#deadlines.now())
    else this.#disarm()
  }

  #placeOf(origin: Origin | undefined): Place {
    if (origin === undefined) return this.#nowhere
    const known = this.#places.get(origin.key)
    if (known !== undefined) {
      known.origin = origin
      return known
    }
    const place = new Place(origin, this.#limits.perOrigin)
    this.#places.set(origin.key, place)
    return place
  }

  #give(start: Start, place: Place, now: number): void {
    start.at = now + this.#limits.hold
    start.chain = this.#holding
    this.#holding.add(start)
    place.held++
    this.#held++
  }

  #takeOut(start: Start, chain: Chain<Start>, place: Place): void {
    chain.remove(start)
    start.chain = undefined
    if (chain === this.#holding) {
      place.held--
      this.#held--
    } else {
      this.#waiting--
    }
    this.#look(place)
  }

  /** The permits whose time has passed. */
  #takeBack(now: number): void {
    for (let start = this.#holding.first; start?.place !== undefined && start.at <= now; start = this.#holding.first) {
      this.#takeOut(start, this.#holding, start.place)
    }
  }

  /** Whether it is ready, and since when, may have changed. */
  #look(place: Place): void {
    const isReady = place.hasRoom && place.waiting.first !== undefined
    if (!isReady) this.#ready.remove(place)
    else if (place.index < 0) this.#ready.add(place)
    else this.#ready.moved(place)
    if (place.held > 0 || place.waiting.first !== undefined || place.origin === undefined) return
    this.#places.delete(place.origin.key)
  }

  /** Code of others begins in a turn of its own, and never in the midst of what has left. */
  #arm(now: number): void {
    if (this.#isGiving) return
    const isFree = this.#held < this.#limits.atOnce && this.#ready.first !== undefined
    const at = isFree ? now : (this.#holding.first?.at ?? now)
    if (this.#next !== undefined && this.#nextAt <= at) return
    this.#disarm()
    this.#nextAt = at
    this.#next = this.#deadlines.set(at, () => {
      this.#next = undefined
      this.#come()
    })
  }

  #disarm(): void {
    this.#deadlines.cancel(this.#next)
    this.#next = undefined
  }

  #come(): void {
    this.#isGiving = true
    try {
      const now = this.#deadlines.now()
      this.#takeBack(now)
      for (let place = this.#ready.first; place !== undefined; place = this.#ready.first) {
        const start = place.waiting.first
        if (start === undefined || this.#held >= this.#limits.atOnce) return
        if (!place.hasRoom) {
          this.#look(place)
          continue
        }
        place.waiting.remove(start)
        this.#waiting--
        this.#give(start, place, now)
        this.#look(place)
        start.begin()
      }
    } finally {
      this.#isGiving = false
      if (this.#waiting > 0) this.#arm(this.#deadlines.now())
    }
  }
}

/** Those that pace the starts of one clock. */
export interface Pacers {
  readonly attempts: Pacer
  readonly probes: Pacer
}

const made = new WeakMap<Starts, WeakMap<Deadlines, Pacers>>()

/** The same for the same limits and clock. */
export const of = (starts: Starts, deadlines: Deadlines): Pacers => {
  const clocks = made.get(starts) ?? new WeakMap<Deadlines, Pacers>()
  made.set(starts, clocks)
  const known = clocks.get(deadlines)
  if (known !== undefined) return known
  const { attempts, perOrigin, probes } = starts.limits
  const hold = Duration.toMillis(starts.limits.hold)
  const pacers: Pacers = {
    attempts: new Pacer({ atOnce: attempts, perOrigin, hold }, deadlines),
    probes: new Pacer({ atOnce: probes, perOrigin: probes, hold }, deadlines)
  }
  clocks.set(deadlines, pacers)
  return pacers
}
