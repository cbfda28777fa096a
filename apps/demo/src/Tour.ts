/** Plays the faults: those of one backend one after the other, those of different backends at the same time. */
import { Duration, Effect, identity, Option } from "effect"
import * as Course from "./Course.ts"
import * as Expectation from "./Expectation.ts"
import type { HostClient } from "./HostClient.ts"
import type { Place } from "./Place.ts"
import type { Played } from "./Played.ts"
import * as Journal from "./Journal.ts"
import * as Traffic from "./Traffic.ts"
import * as World from "./World.ts"

export interface Options {
  readonly faults: ReadonlyArray<Played>
  readonly journal: Journal.Journal
  /** who calls through the gateway meanwhile */
  readonly client: HostClient
  /** whether the faults are injected: if not, no expectation may be met, or it proves nothing. Default true */
  readonly withFaults?: boolean
}

/** After each fault, so that one sees that all is well. */
const calm = Duration.seconds(1)
/** No single wait is longer. */
const patience = Duration.seconds(15)
/** What has not been played by then is not played. The tour takes less than half of it. */
const limit = Duration.seconds(60)

/**
 * Plays all of them, while every backend is called all the time: by this program itself, which says which calls are idempotent and is told
 * everything of what became of them; and through the gateway, by a client that knows of nothing. The former goes on when it has returned.
 */
export const play = Effect.fnUntraced(function* (
  world: World.World,
  { client, faults, journal, withFaults = true }: Options
) {
  const callers = yield* Effect.forEach(World.places(world), (place) =>
    Effect.map(Traffic.make(place, journal), (traffic) => ({ place, traffic: both(traffic, client, place.id) }))
  )
  const played: Array<Course.Course> = []
  yield* Effect.forEach(
    callers,
    ({ place, traffic }) =>
      Effect.forEach(
        faults.filter((fault) => fault.place.id === place.id),
        (fault) =>
          Effect.map(playOne({ fault, traffic, journal, withFaults }), (course) => {
            played.push(course)
          })
      ),
    { concurrency: "unbounded" }
  ).pipe(Effect.timeoutOption(limit))
  const courses = yield* Effect.forEach(faults, (fault) => {
    const found = played.find((course) => course.fault === fault)
    return found === undefined ? neverPlayed(fault) : Effect.succeed(found)
  })

  const seen = yield* client.finish
  const endedAt = performance.now()
  yield* Effect.forEach(callers, ({ traffic }) => traffic.pause, { concurrency: "unbounded" })
  const executions = yield* Effect.forEach(callers, ({ place }) =>
    Effect.map(Traffic.executions(place), (counts) => [place.id, counts] as const)
  )
  yield* Effect.forEach(callers, ({ traffic }) => Effect.andThen(traffic.relax, traffic.resume))
  return Course.measure({ courses, journal, client: seen, endedAt, executions: new Map(executions) })
})

/** The calls of a backend, whoever makes them. */
const both = (traffic: Traffic.Traffic, client: HostClient, id: string): Traffic.Traffic => ({
  ...traffic,
  pause: Effect.all([traffic.pause, client.pause(id)], { concurrency: "unbounded", discard: true }),
  resume: Effect.andThen(traffic.resume, client.resume(id))
})

interface Playing {
  readonly fault: Played
  readonly traffic: Traffic.Traffic
  readonly journal: Journal.Journal
  readonly withFaults: boolean
}

const playOne = Effect.fnUntraced(function* ({ fault, journal, traffic, withFaults }: Playing) {
  const { expectation, inFlight = [], place, until = [] } = fault
  const first = (since: number, sign: Journal.Sign, bound: Duration.Duration) =>
    Effect.map(Effect.timeoutOption(journal.first(place.id, since, sign), bound), Option.getOrUndefined)
  const remark = (kind: Journal.RemarkKind, text: string) => journal.add(place.id, { _tag: "Remark", kind, text })
  const remarkTold = () => {
    const told = journal.calls.find(
      (call) => call.backend === place.id && call.startedAt >= since && Expectation.isTold(call, expectation.told)
    )
    if (told?.detail === undefined) return
    const { output, summary } = told.detail
    remark("told", `callers are told: ${told.reason}, ${summary}; stderr: ${output.join(" / ")}`)
  }

  yield* stable(place, journal)
  if (fault.quiet) yield* traffic.pause
  const since = performance.now()
  remark("fault", fault.name)
  const slowCalls = yield* Effect.forEach(inFlight, traffic.callSlow, { concurrency: "unbounded" })
  const injected = withFaults ? yield* Effect.timeoutOption(Effect.orDie(fault.inject), patience) : Option.none()
  const mark = Option.getOrElse(injected, () => performance.now())

  let end = mark
  if (fault.end === undefined && fault.quiet !== "until noticed") yield* traffic.resume
  const noticed = yield* first(since, fault.sign, expectation.detectedWithin)
  let last = noticed
  for (const sign of until) last = last && (yield* first(last.at, sign, patience))
  if (noticed !== undefined && fault.lasts !== undefined) yield* Effect.sleep(fault.lasts)
  remarkTold()
  if (fault.end !== undefined) {
    if (withFaults) yield* Effect.timeoutOption(Effect.orDie(fault.end), patience)
    remark("end", fault.name)
    end = performance.now()
  }
  yield* traffic.resume

  const isWell = fault.recovery ?? Journal.callEnds("ok")
  const recovered = yield* first(Math.max(end, noticed?.at ?? end), isWell, expectation.recoveredWithin)
  yield* Effect.timeoutOption(Effect.forEach(slowCalls, identity), patience)
  yield* Effect.sleep(calm)
  yield* stable(place, journal)
  return {
    fault,
    since,
    mark,
    // What is restarted may be noticed a moment before it is known to be there.
    detected: noticed === undefined ? undefined : Math.max(0, noticed.at - mark),
    recovered: recovered === undefined ? undefined : recovered.at - end,
    wrong: fault.look === undefined ? [] : yield* fault.look,
    finalState: (yield* place.backend.state)._tag,
    until: performance.now()
  } satisfies Course.Course
})

const neverPlayed = (fault: Played): Effect.Effect<Course.Course> =>
  Effect.map(fault.place.backend.state, (state) => {
    const now = performance.now()
    const never = { detected: undefined, recovered: undefined, wrong: ["it could not be played to its end in time"] }
    return { fault, since: now, until: now, mark: now, finalState: state._tag, ...never }
  })

/** Waits until the session is stable, so that backoff and circuit are as in the beginning. */
const stable = (place: Place, journal: Journal.Journal) => {
  const isStable = () => {
    const last = journal.entries.findLast(
      (entry) =>
        entry.backend === place.id &&
        entry._tag === "Event" &&
        (entry.event._tag === "Stabilized" || entry.event._tag === "SessionClosed")
    )
    return last?._tag === "Event" && last.event._tag === "Stabilized"
  }
  return Effect.gen(function* () {
    while (!isStable() || (yield* place.backend.state)._tag !== "Connected") yield* Effect.sleep("20 millis")
  }).pipe(Effect.timeoutOption(patience))
}
