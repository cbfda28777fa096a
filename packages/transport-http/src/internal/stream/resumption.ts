/**
 * Resumption of the stream that answers a request, from a server that gives its events ids.
 *
 * A resumed stream that stays silent means one of three things, and only asking tells them apart:
 * - the server has tied it to the request and the tool is still at work. It then refuses a second stream with 409,
 *   or ends the second at once: we wait for as long as the caller does;
 * - the server keeps its events but has not tied the stream to the request (server-everything), or does not say: asking
 *   again brings what has come since, the answer in the end. Such a server sends an event that we know it has when asked
 *   for it;
 * - the server only pretends: it does not send that event. Nothing will ever come, and the request fails at once.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Wire } from "../session/wire.ts"
import type { AnswerStream } from "./answerStream.ts"
import * as EventSource from "./eventSource.ts"
import { EventStreamReader } from "./eventStream.ts"

/** How long to look at a resumed stream before asking about it, in milliseconds: what is replayed comes with its head. */
export const replayTime = 20

/** How long a server gets to send again an event that it must have, once it has begun to answer, in milliseconds. */
const proofTime = 100

/** How long a server gets to notice that the first connection broke, in milliseconds: until then it answers 409. */
const conflictTime = 50

/** How long to wait before asking a server again that keeps events: at first, and at most, in milliseconds. */
const firstLook = 250
const longestLook = 2000

/** How long a stream must have lived for its end to be nobody's refusal, in milliseconds. */
const honestLife = 1000

/** A stream that was opened to resume another one. */
interface Resumed extends EventSource.EventSource {
  /** how many events with an id it brought that had not come before */
  readonly news: number
}

/** See the module. Ends when the request is settled. */
export const resume = (answer: AnswerStream): Effect.Effect<void> =>
  Effect.ensuring(
    Effect.gen(function* () {
      let hasty = 0
      while (!answer.settled) {
        if (answer.endedByServer && answer.retry !== undefined) yield* pause(answer, answer.retry)
        const opened = yield* openPatiently(answer)
        if (answer.settled) return
        if (typeof opened === "number") return answer.fail()
        answer.wire.host.notice("answer_resumed")
        const began = yield* now
        const ended = yield* follow(answer, opened)
        const honest = (yield* now) - began >= honestLife
        if (ended === "lost" || (ended === "barren" && !honest)) return answer.fail()
        if (honest) hasty = 0
        else yield* pause(answer, Math.min(firstLook * hasty++, longestLook))
      }
    }),
    Effect.sync(() => answer.finish())
  )

const now = Effect.map(Clock.monotonicTimeNanos, (nanos) => Number(nanos / 1_000_000n))

/**
 * Stays with a resumed stream until the request is settled or the stream ends: having brought something (`fruitful`) or
 * not (`barren`), or in a way that says that nothing will ever come (`lost`).
 */
const follow = Effect.fnUntraced(function* (answer: AnswerStream, first: Resumed) {
  // A server that ended the first stream on purpose and said when to come back has tied the request to its events.
  let tied = answer.endedByServer && answer.retry !== undefined
  let keeps = false
  let stream = first
  let look = firstLook
  yield* wait(answer, stream, replayTime)
  while (!answer.settled) {
    if (tied) {
      yield* EventSource.ended(stream)
      break
    }
    if (stream.isOver) {
      if (!keeps) break
      yield* pause(answer, look)
    }
    const next = yield* open(answer)
    if (typeof next === "number") {
      if (next !== 409 || stream.isOver) return "lost"
      tied = true
      continue
    }
    yield* wait(answer, next, replayTime)
    if (answer.settled) return "fruitful"
    if (next.isOver && !stream.isOver && next.news === 0) {
      tied = true
      continue
    }
    stream.drop()
    keeps ||= answer.progressed || (yield* Effect.raceFirst(replays(answer.wire), Effect.as(settled(answer), false)))
    if (!keeps) return "lost"
    look = next.news > 0 ? firstLook : Math.min(look * 2, longestLook)
    stream = next
    yield* wait(answer, stream, look)
  }
  stream.drop()
  return stream.news > 0 ? "fruitful" : "barren"
})

/** Until the stream is over, or the time is up. */
const wait = (answer: AnswerStream, stream: Resumed, time: number): Effect.Effect<void> =>
  answer.settled || stream.isOver ? Effect.void : Effect.raceFirst(EventSource.ended(stream), Effect.sleep(time))

/** The time, or less where nobody waits any more. */
const pause = (answer: AnswerStream, time: number): Effect.Effect<void> =>
  Effect.raceFirst(Effect.sleep(time), settled(answer))

const openPatiently = Effect.fnUntraced(function* (answer: AnswerStream) {
  const opened = yield* open(answer)
  if (opened !== 409) return opened
  yield* pause(answer, conflictTime)
  return yield* open(answer)
})

/** Until there is nothing left to wait for. */
const settled = (answer: AnswerStream): Effect.Effect<void> =>
  Effect.callback<void>((resume) => Effect.sync(answer.onSettled(() => resume(Effect.void))))

/** Asks for what follows the last event; the status where the server refuses, 0 where no stream came of it. */
const open = (answer: AnswerStream): Effect.Effect<Resumed | number> =>
  Effect.gen(function* () {
    const { wire } = answer
    let news = 0
    const reader = answer.reader((event) => {
      if (answer.takeResumed(event)) news++
    })
    const opening = EventSource.open(wire, {
      reader,
      after: answer.lastId ?? "",
      onBytes: () => {
        answer.pending.record.heardAt = wire.host.alive()
      },
      onExceeded: (what) => answer.exceeded(what)
    })
    const opened = yield* Effect.raceFirst(Effect.result(opening), Effect.as(settled(answer), undefined))
    if (opened === undefined) return 0
    if (Result.isFailure(opened)) return opened.failure._tag === "Refused" ? opened.failure.status : 0
    const source = opened.success
    // It may hold its socket no longer than anybody waits for the answer.
    const forget = answer.onSettled(source.drop)
    source.whenOver(() => {
      forget()
      answer.endedByServer = source.endedByServer
    })
    const resumed: Resumed = {
      whenOver: (ended) => source.whenOver(ended),
      drop: source.drop,
      get isOver() {
        return source.isOver
      },
      get endedByServer() {
        return source.endedByServer
      },
      get news() {
        return news
      }
    }
    return resumed
  })

/** Whether the server sends an event again that it has sent before. */
const replays = (wire: Wire): Effect.Effect<boolean> => {
  const known = wire.replayable
  if (known === undefined) return Effect.succeed(false)
  return Effect.gen(function* () {
    let isFound = false
    let seen = () => {}
    const decided = new Promise<void>((resolve) => {
      seen = resolve
    })
    const reader = new EventStreamReader(wire.limits, {
      onEvent: (event) => {
        isFound ||= event.id === known.id
        if (isFound) seen()
      },
      onRetry: () => {}
    })
    const opened = yield* Effect.option(
      EventSource.open(wire, { reader, after: known.after, onBytes: () => {}, onExceeded: () => {} })
    )
    if (opened._tag === "None") return false
    const source = opened.value
    source.whenOver(seen)
    yield* Effect.raceFirst(
      Effect.promise(() => decided),
      Effect.sleep(proofTime)
    )
    source.drop()
    return isFound
  })
}
