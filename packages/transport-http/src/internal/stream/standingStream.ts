/**
 * The stream for what a server sends of its own accord, kept open for as long as the session lasts.
 *
 * A connection is opened again whenever it breaks: at once after an honest life, with backoff where opening fails. A broken
 * standing stream says nothing about the session; a refused one may, and is reported once an outage.
 */
import { Evidence } from "@vmcp-keepalive/core"
import { Message, Reopening } from "@vmcp-keepalive/sdk-client/peer"
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type { Wire } from "../session/wire.ts"
import * as EventSource from "./eventSource.ts"
import { Heartbeat } from "./heartbeat.ts"
import { EventStreamReader, isMessage, type ServerSentEvent } from "./eventStream.ts"
import { replayTime } from "./resumption.ts"

/** Keeps the stream open, until it is interrupted or the server has no such stream. */
export const keep = Effect.fnUntraced(function* (wire: Wire) {
  let memory = Reopening.initial
  let lost = false
  let first = true
  const position: Position = { lastId: undefined, retry: undefined }
  const known = Effect.asVoid(Deferred.succeed(wire.standing, undefined))
  while (true) {
    const outcome = yield* connection(wire, position, (isReplayed) =>
      Effect.suspend(() => {
        if (lost) wire.host.notice("stream_restored")
        lost = false
        if (!first && !isReplayed) wire.transport.subscriptions.restored()
        return known
      })
    )
    first = false
    yield* known
    if (outcome._tag === "Ended") {
      wire.host.notice("stream_lost")
      lost = true
    }
    const next = Reopening.step(memory, outcome, yield* Random.next)
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
const connection = Effect.fnUntraced(function* (
  wire: Wire,
  position: Position,
  onOpen: (isReplayed: boolean) => Effect.Effect<void>
) {
  const began = yield* Clock.monotonicTimeNanos
  const tally = { events: 0 }
  const missed = position.lastId === undefined ? undefined : yield* listen(wire, position, tally, position.lastId)
  // Servers with a careless event store replay what was missed and then send nothing more on a resumed stream. One that
  // does go on there refuses a second stream; else the second is the stream, and the first has done its work.
  const plain = yield* listen(wire, position, tally)
  if (Result.isFailure(plain)) {
    if (missed === undefined || Result.isFailure(missed)) return outcomeOf(plain.failure)
    yield* onOpen(true)
    yield* lasting(missed.success)
  } else {
    yield* onOpen(missed !== undefined && Result.isSuccess(missed))
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
  const ended: Reopening.Outcome = { _tag: "Ended", lived, events: tally.events, retry: position.retry }
  return ended
})

const outcomeOf = (evidence: Evidence.Evidence): Reopening.Outcome =>
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
