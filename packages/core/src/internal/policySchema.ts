/**
 * The settings of a policy as Schemas: what each may be, and what must hold between them.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaGetter from "effect/SchemaGetter"
import * as SchemaIssue from "effect/SchemaIssue"
import * as Struct from "effect/Struct"
import * as Untyped from "./untyped.ts"

// -------------------------------------------------------------------------------------------------------------- bounds

/** What a duration may be. */
export interface Bound {
  readonly expected: string
  readonly holds: (value: Duration.Duration) => boolean
}

const notNegative: Bound = {
  expected: "a duration of zero or more",
  holds: (value) => Duration.isGreaterThanOrEqualTo(value, Duration.zero)
}

const positive: Bound = {
  expected: "a duration above zero",
  holds: (value) => Duration.isGreaterThan(value, Duration.zero) && Duration.isFinite(value)
}

const ending: Bound = {
  expected: "a duration of zero or more that ends",
  holds: (value) => notNegative.holds(value) && Duration.isFinite(value)
}

const asInterval: Bound = {
  expected: "a duration of 1 second to 24 hours",
  holds: (value) =>
    Duration.isGreaterThanOrEqualTo(value, Duration.seconds(1)) &&
    Duration.isLessThanOrEqualTo(value, Duration.hours(24))
}

// -------------------------------------------------------------------------------------------------------------- values

/** How many, or how often. */
export const count = Schema.Number.annotate({ expected: "a whole number of at least 1" }).check(
  Schema.isInt({ expected: "a whole number of at least 1" }),
  Schema.isGreaterThanOrEqualTo(1, { expected: "a whole number of at least 1" })
)

const places = Schema.Number.annotate({ expected: "a whole number of at least 0" }).check(
  Schema.isInt({ expected: "a whole number of at least 0" }),
  Schema.isGreaterThanOrEqualTo(0, { expected: "a whole number of at least 0" })
)

const share = Schema.Number.annotate({ expected: "a number from 0 to 1" }).check(
  Schema.isFinite({ expected: "a number from 0 to 1" }),
  Schema.isBetween({ minimum: 0, maximum: 1 }, { expected: "a number from 0 to 1" })
)

const factor = Schema.Number.annotate({ expected: "a number of at least 1" }).check(
  Schema.isFinite({ expected: "a number of at least 1" }),
  Schema.isGreaterThanOrEqualTo(1, { expected: "a number of at least 1" })
)

const flag = Schema.Boolean.annotate({ expected: "one of true, false" })

const ToolProbe = Schema.Struct({
  /** as the server lists it */
  name: Schema.String.annotate({ expected: "the name of a tool" })
    .check(Schema.isNonEmpty({ expected: "the name of a tool" }))
    .annotateKey({ messageMissingKey: "the name of a tool" }),
  /** default: none */
  arguments: Schema.optionalKey(Schema.Record(Schema.String, Schema.Unknown).annotate({ expected: "an object" }))
}).annotate({ expected: "{ name, arguments? }" })

const words = ["auto", "ping", "list-tools", "discover", "options", "none"] as const

const expectedOfMethod = "ping or tool, where a tool is named"

const probe = Schema.Union([
  Schema.Literals(words),
  Schema.Struct({
    method: Schema.Literals(["ping", "tool"])
      .annotate({ expected: expectedOfMethod })
      .annotateKey({ messageMissingKey: expectedOfMethod }),
    tool: ToolProbe.annotateKey({ messageMissingKey: "{ name, arguments? }" })
  })
]).annotate({ expected: `one of ${words.join(", ")}, or { method: "tool" | "ping", tool: { name, arguments? } }` })

// ----------------------------------------------------------------------------------------------------------- durations

/** A duration within a bound, of how it is written. */
type Within<E> = (bound: Bound) => Schema.Codec<Duration.Duration, E>

const within =
  <E>(written: Schema.Codec<E, E>, encode: (duration: Duration.Duration) => E): Within<E> =>
  ({ expected, holds }) =>
    written.annotate({ expected }).pipe(
      Schema.decodeTo(Schema.Duration, {
        decode: SchemaGetter.transformEffect((value) =>
          Option.match(Untyped.isDurationInput(value) ? Duration.fromInput(value) : Option.none(), {
            onNone: () => Effect.fail(new SchemaIssue.InvalidValue({ expected })),
            onSome: Effect.succeed
          })
        ),
        encode: SchemaGetter.transform(encode)
      }),
      Schema.check(Schema.makeFilter(holds, { expected }))
    )

/** As code writes them. */
export const ofInput = within<Duration.Input>(Schema.declare(Untyped.isDurationInput), (duration) => duration)

/** As files write them: in words, or as a number of milliseconds. */
const ofText = within<string | number>(
  Schema.Union([
    Schema.String.check(
      Schema.isPattern(/^(\d+(\.\d+)?\s+(nanos?|micros?|millis?|seconds?|minutes?|hours?|days?|weeks?)|Infinity)$/u)
    ),
    Schema.Finite
  ]),
  (duration) => (Duration.isFinite(duration) ? Duration.toMillis(duration) : "Infinity")
)

// ------------------------------------------------------------------------------------------------------------ settings

/** What rules between fields suppose of one that is left out. Without it they hold between those only that are given. */
interface Defaults {
  readonly interval: Duration.Duration
  readonly backoff: { readonly initial: Duration.Duration }
  readonly openFor: { readonly initial: Duration.Duration }
}

const delays = <E>(time: Within<E>) => ({
  initial: time(positive),
  factor,
  cap: time({ ...positive, expected: "a duration above zero, of at least initial" })
})

interface Delays {
  readonly initial?: Duration.Duration | undefined
  readonly cap?: Duration.Duration | undefined
}

const growing = (fallback: Defaults["backoff"] | undefined) =>
  Schema.makeFilter(({ cap, initial = fallback?.initial }: Delays) =>
    cap === undefined || initial === undefined || Duration.isGreaterThanOrEqualTo(cap, initial)
      ? undefined
      : { path: ["cap"], issue: `a duration of at least initial (${Duration.format(initial)})` }
  )

/** All but what a Schedule can stand for. */
const fieldsOf = <E>(time: Within<E>) => ({
  interval: time(asInterval),
  probe,
  timeout: time({ ...positive, expected: "a duration above zero and shorter than the interval" }),
  confirmInterval: time({ ...positive, expected: "a duration above zero and at most the interval" }),
  failureThreshold: count,
  fallbackAfter: count,
  connectTimeout: time(positive),
  stableAfter: time(ending),
  waitForSession: time(notNegative),
  staleAfter: time(notNegative),
  inFlightGrace: time(notNegative),
  drainTimeout: time(notNegative),
  removalGrace: time(ending),
  reattempt: Schema.Literals(["immediate", "backoff"]).annotate({ expected: 'one of "immediate", "backoff"' }),
  connect: Schema.Literals(["eager", "lazy"]).annotate({ expected: 'one of "eager", "lazy"' }),
  idleAfter: Schema.Union([Schema.Literal("never"), time(positive)]).annotate({
    expected: 'a duration above zero, or "never"'
  }),
  maxLifetime: Schema.Union([Schema.Literal("never"), time(positive)]).annotate({
    expected: 'a duration above zero, or "never"'
  }),
  maxConcurrent: Schema.Union([Schema.Literal("none"), count]).annotate({
    expected: 'a whole number of at least 1, or "none"'
  }),
  queue: places,
  trustAnnotations: flag,
  required: flag,
  startDeadline: time(notNegative),
  spans: flag
})

interface Intervals {
  readonly interval?: Duration.Duration | undefined
  readonly timeout?: Duration.Duration | undefined
  readonly confirmInterval?: Duration.Duration | undefined
}

/** What must hold between the intervals. */
const fitting = (fallback: Duration.Duration | undefined) =>
  Schema.makeFilter(({ confirmInterval, interval = fallback, timeout }: Intervals) => {
    if (interval === undefined) return undefined
    const issues: Array<Schema.FilterIssue> = []
    const length = Duration.format(interval)
    if (timeout !== undefined && !Duration.isLessThan(timeout, interval)) {
      issues.push({ path: ["timeout"], issue: `a duration above zero and shorter than the interval (${length})` })
    }
    if (confirmInterval !== undefined && Duration.isGreaterThan(confirmInterval, interval)) {
      issues.push({ path: ["confirmInterval"], issue: `a duration above zero and at most the interval (${length})` })
    }
    return issues
  })

const expectedOfBackoff = "{ initial, factor, cap }"
const expectedOfOpenFor = "a duration above zero, { initial, factor, cap }"
const budget = <E>(time: Within<E>) => ({ ratio: share, window: time(positive) })

const expectedOfBudget = '{ ratio, window } or "none"'
const expectedOfCircuit = '{ failures, openFor } or "none"'

const Own = Schema.declare(Untyped.isSchedule).annotate({ expected: "a Schedule" })

const delaysOfCode = (fallback: Defaults["backoff"]) =>
  Schema.Struct(delays(ofInput)).mapFields(Struct.map(Schema.optional)).check(growing(fallback))

/** Options as code writes them. */
export const ofCode = (fallback: Defaults) =>
  Schema.Struct({
    ...fieldsOf(ofInput),
    cadence: Own,
    backoff: Schema.Union([Own, delaysOfCode(fallback.backoff)]).annotate({
      expected: `${expectedOfBackoff} or a Schedule`
    }),
    circuit: Schema.Union([
      Schema.Literal("none"),
      Schema.Struct({
        failures: count,
        openFor: Schema.Union([Own, ofInput(positive), delaysOfCode(fallback.openFor)]).annotate({
          expected: `${expectedOfOpenFor} or a Schedule`
        })
      }).mapFields(Struct.map(Schema.optional))
    ]).annotate({ expected: expectedOfCircuit }),
    replayBudget: Schema.Union([
      Schema.Literal("none"),
      Schema.Struct(budget(ofInput)).mapFields(Struct.map(Schema.optional))
    ]).annotate({ expected: expectedOfBudget })
  })
    .mapFields(Struct.map(Schema.optional))
    .check(fitting(fallback.interval))

const delaysOfFile = Schema.Struct(delays(ofText)).mapFields(Struct.map(Schema.optionalKey)).check(growing(undefined))

/** Options as files write them, without Schedules. */
export const ofFile = Schema.Struct({
  ...fieldsOf(ofText),
  backoff: delaysOfFile.annotate({ expected: expectedOfBackoff }),
  circuit: Schema.Union([
    Schema.Literal("none"),
    Schema.Struct({
      failures: count,
      openFor: Schema.Union([ofText(positive), delaysOfFile]).annotate({ expected: expectedOfOpenFor })
    }).mapFields(Struct.map(Schema.optionalKey))
  ]).annotate({ expected: expectedOfCircuit }),
  replayBudget: Schema.Union([
    Schema.Literal("none"),
    Schema.Struct(budget(ofText)).mapFields(Struct.map(Schema.optionalKey))
  ]).annotate({ expected: expectedOfBudget })
})
  .mapFields(Struct.map(Schema.optionalKey))
  .check(fitting(undefined))
