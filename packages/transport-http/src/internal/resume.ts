/**
 * Getting the answer of a request whose stream broke, from a server that gives its events ids.
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
import type { AnswerStream, Source } from "./answerStream.ts"
import { readText } from "./http.ts"
import type { HttpResponse } from "./http.ts"
import * as Sse from "./sse.ts"
import type { Wire } from "./wire.ts"

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
const follow = Effect.fnUntraced(function* (answer: AnswerStream, first: Source) {
  // A server that ended the first stream on purpose and said when to come back has tied the request to its events.
  let tied = answer.endedByServer && answer.retry !== undefined
  let keeps = false
  let stream = first
  let look = firstLook
  yield* wait(answer, stream, replayTime)
  while (!answer.settled) {
    if (tied) {
      yield* Effect.promise(() => stream.end)
      break
    }
    if (stream.over) {
      if (!keeps) break
      yield* pause(answer, look)
    }
    const next = yield* open(answer)
    if (typeof next === "number") {
      if (next !== 409 || stream.over) return "lost"
      tied = true
      continue
    }
    yield* wait(answer, next, replayTime)
    if (answer.settled) return "fruitful"
    if (next.over && !stream.over && next.news === 0) {
      tied = true
      continue
    }
    stream.drop()
    keeps ||= answer.progressed || (yield* replays(answer.wire))
    if (!keeps) return "lost"
    look = next.news > 0 ? firstLook : Math.min(look * 2, longestLook)
    stream = next
    yield* wait(answer, stream, look)
  }
  stream.drop()
  return stream.news > 0 ? "fruitful" : "barren"
})

/** Until the stream is over, or the time is up. */
const wait = (answer: AnswerStream, stream: Source, time: number): Effect.Effect<void> =>
  answer.settled || stream.over
    ? Effect.void
    : Effect.raceFirst(
        Effect.promise(() => stream.end),
        Effect.sleep(time)
      )

/** The time, or less where nobody waits any more. */
const pause = (answer: AnswerStream, time: number): Effect.Effect<void> =>
  Effect.raceFirst(
    Effect.sleep(time),
    Effect.callback<void>((resume) => {
      const done = () => resume(Effect.void)
      answer.signal.addEventListener("abort", done, { once: true })
      return Effect.sync(() => answer.signal.removeEventListener("abort", done))
    })
  )

const openPatiently = Effect.fnUntraced(function* (answer: AnswerStream) {
  const opened = yield* open(answer)
  if (opened !== 409) return opened
  yield* pause(answer, conflictTime)
  return yield* open(answer)
})

/** Asks for what follows the last event; the status where the server refuses, 0 where no stream came of it. */
const open = (answer: AnswerStream): Effect.Effect<Source | number> =>
  Effect.promise(async () => {
    const { lastId, wire } = answer
    const controller = wire.begin()
    const abort = () => controller.abort()
    answer.signal.addEventListener("abort", abort, { once: true })
    const response = await get(wire, lastId ?? "", controller.signal)
    answer.signal.removeEventListener("abort", abort)
    if (typeof response !== "number") return answer.source(response, controller)
    wire.end(controller)
    return response
  })

const get = async (wire: Wire, lastId: string, signal: AbortSignal): Promise<HttpResponse | number> => {
  try {
    const headers = await wire.headers()
    headers.set("accept", "text/event-stream")
    headers.set("last-event-id", lastId)
    const response = await wire.send({ method: "GET", headers, signal })
    if (response.status === 200 && response.headers.get("content-type")?.startsWith("text/event-stream") === true)
      return response
    await response.body?.cancel().catch(() => {})
    return response.status === 200 ? 0 : response.status
  } catch {
    return 0
  }
}

/** Whether the server sends an event again that it has sent before. */
const replays = (wire: Wire): Effect.Effect<boolean> => Effect.promise((signal) => replaysKnown(wire, signal))

const replaysKnown = async (wire: Wire, interrupted: AbortSignal): Promise<boolean> => {
  const known = wire.replayable
  if (known === undefined) return false
  const controller = wire.begin()
  const abort = () => controller.abort()
  interrupted.addEventListener("abort", abort, { once: true })
  let found = false
  const response = await get(wire, known.after, controller.signal)
  const bound = setTimeout(abort, proofTime)
  if (typeof response !== "number") {
    const feed = Sse.parser({
      onEvent: (event) => {
        found ||= event.id === known.id
      },
      onRetry: () => {}
    })
    await readText(response.body, controller.signal, (text) => feed(text) && !found)
  }
  clearTimeout(bound)
  interrupted.removeEventListener("abort", abort)
  controller.abort()
  wire.end(controller)
  return found
}
