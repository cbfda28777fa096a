/**
 * The stream for what a server sends of its own accord, kept open for as long as the session lasts.
 *
 * A connection is opened again whenever it breaks: at once after an honest life, with backoff where opening fails. A broken
 * standing stream says nothing about the session; a refused one may, and is reported once an outage.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Message, Reopening } from "@vmcp-keepalive/sdk-client/peer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Wire } from "../session/wire.ts"
import * as EventSource from "./eventSource.ts"
import { Heartbeat } from "./heartbeat.ts"
import { EventStreamReader, type Handlers, isMessage, type ServerSentEvent } from "./eventStream.ts"
import { replayTime } from "./resumption.ts"

/** Keeps the stream open, until the session ends or the server has no such stream. While it is open no fiber waits for its end. */
export const keep = (wire: Wire): Effect.Effect<void> =>
  open(wire, {
    memory: Reopening.initial,
    isFirst: true,
    isLost: false,
    lastId: undefined,
    retry: undefined,
    began: 0,
    events: 0
  })

/** What is known of the stream from one connection to the next. */
interface Standing {
  memory: Reopening.Memory
  isFirst: boolean
  isLost: boolean
  lastId: string | undefined
  retry: number | undefined
  /** when the connection of now began, in monotonic milliseconds, and how many messages it has brought */
  began: number
  events: number
}

/** Opens it, as often as that takes. */
const open = Effect.fnUntraced(function* (wire: Wire, standing: Standing) {
  while (true) {
    const opened = yield* connection(wire, standing)
    if (wire.isOver) return
    yield* Deferred.succeed(wire.standing, undefined)
    standing.isFirst = false
    if (Result.isSuccess(opened)) return opened.success.whenOver(() => hasEnded(wire, standing))
    const delay = next(wire, standing, outcomeOf(opened.failure), yield* Random.next)
    if (delay === undefined) return
    yield* Effect.sleep(delay)
  }
})

/** A connection that was open has ended. With the session: then nobody wants another one. */
const hasEnded = (wire: Wire, standing: Standing): void => {
  if (wire.isOver) return
  wire.host.notice("stream_lost")
  standing.isLost = true
  const { began, events, retry } = standing
  const outcome: Reopening.Outcome = { _tag: "Ended", lived: wire.now() - began, events, retry }
  wire.fork(
    Effect.gen(function* () {
      const delay = next(wire, standing, outcome, yield* Random.next)
      if (delay === undefined) return
      if (delay > 0) yield* Effect.sleep(delay)
      yield* open(wire, standing)
    })
  )
}

/** Takes down how one ended, or why there was none; how long to wait for the next one, `undefined` where there will be none. */
const next = (wire: Wire, standing: Standing, outcome: Reopening.Outcome, random: number): number | undefined => {
  const { delay, memory, observe } = Reopening.step(standing.memory, outcome, random)
  standing.memory = memory
  if (observe !== undefined) wire.host.observe(observe)
  return delay
}

/** Opens one connection; or two, where what was missed is asked for beside. */
const connection = Effect.fnUntraced(function* (wire: Wire, standing: Standing) {
  standing.began = wire.now()
  standing.events = 0
  const resumed = standing.lastId === undefined ? undefined : new Connection(wire, standing, standing.lastId)
  const missed = resumed === undefined ? undefined : yield* resumed.open
  // Servers with a careless event store replay what was missed and then send nothing more on a resumed stream. One that
  // does go on there refuses a second stream; else the second is the stream, and the first has done its work.
  const plain = yield* new Connection(wire, standing).open
  if (wire.isOver) return plain
  if (missed === undefined || Result.isFailure(missed)) {
    if (Result.isFailure(plain)) return plain
    restored(wire, standing)
    haveMissed(wire, standing)
    return plain
  }
  restored(wire, standing)
  if (Result.isFailure(plain)) return missed
  yield* Effect.raceFirst(EventSource.ended(plain.success), Effect.sleep(replayTime))
  missed.success.drop()
  // nothing was missed, or the server keeps no events although it numbers them
  if (resumed?.hasBrought === false) haveMissed(wire, standing)
  return plain
})

/** It is open. */
const restored = (wire: Wire, standing: Standing): void => {
  if (standing.isLost) wire.host.notice("stream_restored")
  standing.isLost = false
}

/** Whoever listens may have missed something while it was not open. */
const haveMissed = (wire: Wire, { isFirst }: Standing): void => {
  if (!isFirst && !wire.isOver) wire.transport.subscriptions.restored()
}

const outcomeOf = (evidence: Evidence.Evidence): Reopening.Outcome =>
  evidence._tag === "Refused" ? { _tag: "Refused", evidence } : { _tag: "Failed", evidence }

/**
 * Reads one connection, until it ends or is dropped. What a server sends again when it is asked to resume is not handed on again. On
 * a stream that was not resumed only a request can be recognized, by its own id: servers that count the events of every stream from
 * 1 send each change notification under the same id and in the same words.
 *
 * A class, and no closures, since every idle session has one.
 */
class Connection implements EventSource.Options, Handlers {
  readonly reader: EventStreamReader
  readonly after: string | undefined
  readonly #wire: Wire
  readonly #standing: Standing
  readonly #heartbeat: Heartbeat
  /** whether a message came on it */
  hasBrought = false
  #source: EventSource.EventSource | undefined = undefined

  constructor(wire: Wire, standing: Standing, after?: string) {
    this.#wire = wire
    this.#standing = standing
    this.after = after
    this.reader = new EventStreamReader(wire.limits, this)
    this.#heartbeat = new Heartbeat(wire, this)
  }

  get open(): Effect.Effect<Result.Result<EventSource.EventSource, Evidence.Evidence>> {
    return Effect.result(
      Effect.map(EventSource.open(this.#wire, this), (source) => {
        this.#source = source
        return source
      })
    )
  }

  onEvent(event: ServerSentEvent): void {
    if (event.id !== undefined && event.id !== "") this.#standing.lastId = event.id
    const wire = this.#wire
    if (wire.isOver) return
    const again = wire.events.seen(event)
    if (!isMessage(event) || (again && this.after !== undefined)) return
    if (event.data.length > wire.limits.messageBytes)
      return wire.overflow("a message is longer than limits.messageBytes")
    const excess = Message.excess(event.data, wire.limits)
    if (excess !== undefined) return wire.overflow(`a message has ${excess}`)
    const message = Message.of(Message.parse(event.data.toString("utf8")))
    if (again && message !== undefined && Message.isRequest(message)) return
    this.#standing.events++
    this.hasBrought = true
    if (message === undefined) wire.host.notice("garbage")
    else wire.receive(message, event.data.length)
  }

  onRetry(milliseconds: number): void {
    this.#standing.retry = milliseconds
  }

  onComment(): void {
    this.#heartbeat.comment()
  }

  onBytes(): void {
    this.#heartbeat.bytes()
    this.#wire.host.alive()
  }

  onExceeded(what: string): void {
    this.#wire.overflow(what)
  }

  onOver(): void {
    this.#heartbeat.stop()
  }

  onSilence(): void {
    this.#wire.host.observe(Evidence.transportFailure("timeout"))
    this.#source?.drop()
  }
}
