/**
 * The stream for what a server sends of its own accord, kept open for as long as the session lasts.
 *
 * A connection is opened again whenever it breaks: at once after an honest life, with backoff where opening fails. A broken
 * standing stream says nothing about the session; a refused one may, and is reported once an outage.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Wire } from "../session/wire.ts"
import * as EventSource from "./eventSource.ts"
import { Heartbeat } from "./heartbeat.ts"
import { EventStreamReader, isMessage, type ServerSentEvent } from "./eventStream.ts"
import { replayTime } from "./resumption.ts"

/** How one connection ended, or why there was none. */
export type Outcome =
  | { readonly _tag: "Ended"; readonly lived: number; readonly events: number; readonly retry: number | undefined }
  | { readonly _tag: "Refused"; readonly evidence: Evidence.Refused }
  | { readonly _tag: "Failed"; readonly evidence: Evidence.Evidence }

/** What is remembered between two connections. */
export interface Memory {
  /** whether it has ever been open */
  readonly opened: boolean
  /** how many openings in a row have failed */
  readonly failures: number
  /** how many connections in a row have ended in haste */
  readonly hasty: number
  /** whether this outage has been reported */
  readonly reported: boolean
}

/** Nothing has happened. */
export const initial: Memory = { opened: false, failures: 0, hasty: 0, reported: false }

/** What to do next: wait and open again, or leave it be for good. */
export interface Step {
  readonly memory: Memory
  /** in milliseconds; `undefined`: for good */
  readonly delay: number | undefined
  readonly observe: Evidence.Evidence | undefined
}

/** A life that makes an end honest, in milliseconds: proxies cut what is idle for 5 s and more. */
const honestLife = 3000

/** The pause where every connection brings something and ends in haste, in milliseconds. */
const busyPause = 250

const backoff = { initial: 1000, cap: 30_000 }
/** a server that has not noticed the end of the last stream refuses the next one: it notices soon */
const conflictInitial = 100

/** Statuses with which a server without sessions says that it has no such stream. */
const notOffered = new Set([400, 404, 406, 415, 501])

/** Decides what follows an outcome; `random` is in [0, 1). */
export const step = (memory: Memory, outcome: Outcome, random: number): Step => {
  switch (outcome._tag) {
    case "Ended":
      return afterEnd(memory, outcome, random)
    case "Refused": {
      const { evidence } = outcome
      const absent = evidence.status === 405 || (!evidence.withSession && notOffered.has(evidence.status))
      // A session whose stream is no more offered is not what it was: the server has become one that knows no sessions.
      const gone = memory.opened && evidence.withSession && evidence.status === 405
      if (absent) return { memory, delay: undefined, observe: gone ? evidence : undefined }
      const asked = evidence.retryAfter === undefined ? 0 : Duration.toMillis(evidence.retryAfter)
      const first = evidence.status === 409 ? conflictInitial : backoff.initial
      const observed =
        Evidence.isSessionUnknown(evidence) ||
        evidence.status === 401 ||
        (memory.opened && evidence.status >= 500 && !Evidence.isBusy(evidence))
      return failed(memory, Math.max(asked, delayAfter(memory.failures, first, random)), evidence, observed)
    }
    case "Failed":
      return failed(memory, delayAfter(memory.failures, backoff.initial, random), outcome.evidence, memory.opened)
  }
}

const afterEnd = (memory: Memory, end: Outcome & { readonly _tag: "Ended" }, random: number): Step => {
  const hasty = end.lived >= honestLife ? 0 : end.events > 0 ? 1 : memory.hasty + 1
  // What ends in haste for the first time costs no delay: where it opens again at once, nothing is lost.
  const delay =
    memory.hasty === 0 || hasty === 0 ? 0 : hasty === 1 ? busyPause : delayAfter(hasty - 2, backoff.initial, random)
  return {
    memory: { opened: true, failures: 0, hasty, reported: false },
    delay: Math.max(delay, end.retry ?? 0),
    observe: undefined
  }
}

const failed = (memory: Memory, delay: number, evidence: Evidence.Evidence, observed: boolean): Step => ({
  memory: { ...memory, failures: memory.failures + 1, reported: memory.reported || observed },
  delay,
  observe: observed && !memory.reported ? evidence : undefined
})

/** Exponential, up to a cap, of which the upper half is drawn from: many clients must not come back together. */
const delayAfter = (failures: number, first: number, random: number): number =>
  Math.min(first * 2 ** failures, backoff.cap) * (0.5 + random / 2)

/** Keeps the stream open, until it is interrupted or the server has no such stream. */
export const keep = Effect.fnUntraced(function* (wire: Wire) {
  let memory = initial
  let lost = false
  const position: Position = { lastId: undefined, retry: undefined }
  while (true) {
    const outcome = yield* connection(wire, position, () => {
      if (lost) wire.host.notice("stream_restored")
      lost = false
    })
    if (outcome._tag === "Ended") {
      wire.host.notice("stream_lost")
      lost = true
    }
    const next = step(memory, outcome, yield* Random.next)
    memory = next.memory
    if (next.observe !== undefined) wire.host.observe(next.observe)
    if (next.delay === undefined) return
    if (next.delay > 0) yield* Effect.sleep(next.delay)
  }
})

/** Where the stream is, for its next connection. */
interface Position {
  lastId: string | undefined
  retry: number | undefined
}

/** One connection, from its opening to its end; or two, where what was missed is asked for beside. */
const connection = Effect.fnUntraced(function* (wire: Wire, position: Position, onOpen: () => void) {
  const began = yield* Clock.monotonicTimeNanos
  const tally = { events: 0 }
  const missed = position.lastId === undefined ? undefined : yield* listen(wire, position, tally, position.lastId)
  // Servers with a careless event store replay what was missed and then send nothing more on a resumed stream. One that
  // does go on there refuses a second stream; else the second is the stream, and the first has done its work.
  const plain = yield* listen(wire, position, tally)
  if (Result.isFailure(plain)) {
    if (missed === undefined || Result.isFailure(missed)) return outcomeOf(plain.failure)
    onOpen()
    yield* lasting(missed.success)
  } else {
    onOpen()
    if (missed !== undefined && Result.isSuccess(missed)) {
      yield* Effect.raceFirst(
        lasting(plain.success, false),
        Effect.andThen(Effect.sleep(replayTime), Effect.sync(missed.success.drop))
      )
      missed.success.drop()
    }
    yield* lasting(plain.success)
  }
  const lived = Number(((yield* Clock.monotonicTimeNanos) - began) / 1_000_000n)
  const ended: Outcome = { _tag: "Ended", lived, events: tally.events, retry: position.retry }
  return ended
})

const outcomeOf = (evidence: Evidence.Evidence): Outcome =>
  evidence._tag === "Refused" ? { _tag: "Refused", evidence } : { _tag: "Failed", evidence }

/** Until it ends; it is dropped where nobody waits for that any more. */
const lasting = (source: EventSource.EventSource, isDropped = true): Effect.Effect<void> => {
  const end = Effect.promise(() => source.end)
  return isDropped ? Effect.onInterrupt(end, () => Effect.sync(source.drop)) : end
}

/**
 * Opens a connection and reads it, until it ends or is dropped. What a server sends again when it is asked to resume is not
 * handed on again. On a stream that was not resumed only a request can be recognized, by its own id: servers that count the
 * events of every stream from 1 send each change notification under the same id and in the same words.
 */
const listen = (wire: Wire, position: Position, tally: { events: number }, after?: string) => {
  const take = (event: ServerSentEvent) => {
    if (event.id !== undefined && event.id !== "") position.lastId = event.id
    const again = wire.events.seen(event)
    if (!isMessage(event) || (again && after !== undefined)) return
    if (event.data.length > wire.limits.messageBytes) return wire.overflow("a message is too long")
    if (Message.exceeds(event.data, wire.limits)) return wire.overflow("a message has too many objects")
    const message = Message.of(Message.parse(event.data.toString("utf8")))
    if (again && message !== undefined && Message.isRequest(message)) return
    tally.events++
    if (message === undefined) wire.host.notice("garbage")
    else wire.receive(message, event.data.length)
  }
  const onRetry = (retry: number) => {
    position.retry = retry
  }
  const heartbeat = new Heartbeat(wire.now, () => {
    wire.host.observe(Evidence.transportFailure("timeout"))
    source?.drop()
  })
  let source: EventSource.EventSource | undefined
  return EventSource.open(wire, {
    reader: new EventStreamReader(wire.limits, { onEvent: take, onRetry, onComment: () => heartbeat.comment() }),
    after,
    onBytes: () => {
      heartbeat.bytes()
      wire.host.alive()
    },
    onExceeded: (what) => wire.overflow(what),
    onOver: () => heartbeat.stop()
  }).pipe(
    Effect.tap((opened) =>
      Effect.sync(() => {
        source = opened
      })
    ),
    Effect.result
  )
}
