/**
 * The numbers that govern a backend, with their defaults, their bounds and the presets.
 *
 * An app sets one policy for all its backends with {@link layer}; a backend's own options are laid over it: nested
 * objects merge, Schedules replace. Values are checked when a backend is made, before anything connects.
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ConfigurationIssue } from "./BackendError.ts"
import type { ProbeRung } from "./Connector.ts"

/** An exponential delay: `initial`, `initial × factor`, … up to `cap`. */
export interface Exponential<Time = Duration.Duration> {
  readonly initial: Time
  readonly factor: number
  readonly cap: Time
}

/** A schedule of one's own. One that ends goes on with its last delay. */
export type OwnSchedule = Schedule.Schedule<unknown>

/** A tool that serves as probe: it should be cheap and change nothing. */
export interface ToolProbe {
  readonly name: string
  /** default: none */
  readonly arguments?: Readonly<Record<string, unknown>>
}

/**
 * How to ask whether a server lives.
 *
 * - `auto`: `ping` where there is a legacy session to keep; `none` for a stateless or a modern (2026-07-28) backend
 * - `ping`: with a `tool`, that tool is asked in the same round after `fallbackAfter` silent pings in a row
 * - `tool`: `isError` is life too; a tool that the server does not list fails the attempt
 * - `list-tools`: the deep probe: it sees through gateways that answer `ping` for a dead server
 * - `discover`: for modern servers
 * - `options` (HTTP): an OPTIONS request with the same headers; weaker than `ping`: it sees HTTP, not MCP
 * - `none`: no probes; traffic and the transport alone drive the state
 */
export type ProbeMethod =
  | "auto"
  | "ping"
  | "list-tools"
  | "discover"
  | "options"
  | "none"
  | { readonly method: "ping"; readonly tool: ToolProbe }
  | { readonly method: "tool"; readonly tool: ToolProbe }

/** A policy with every number decided. */
export interface KeepalivePolicy {
  readonly probe: ProbeMethod
  readonly interval: Duration.Duration
  readonly timeout: Duration.Duration
  readonly confirmInterval: Duration.Duration
  readonly failureThreshold: number
  readonly fallbackAfter: number
  readonly connectTimeout: Duration.Duration
  readonly cadence: OwnSchedule | undefined
  readonly backoff: Exponential | OwnSchedule
  readonly circuit: { readonly failures: number; readonly openFor: Exponential | OwnSchedule } | "none"
  readonly stableAfter: Duration.Duration
  readonly waitForSession: Duration.Duration
  readonly staleAfter: Duration.Duration
  readonly inFlightGrace: Duration.Duration
  readonly drainTimeout: Duration.Duration
  readonly connect: "eager" | "lazy"
  readonly idleAfter: Duration.Duration | "never"
  readonly trustAnnotations: boolean
  readonly spans: boolean
}

/** A policy as one writes it: what is left out comes from the context, and then from the default. */
export interface Options {
  /** how to probe; default `"auto"` */
  readonly probe?: ProbeMethod
  /** time between probes of a healthy session, ±10 %: 1 second to 24 hours; default 300 seconds */
  readonly interval?: Duration.Input
  /**
   * bound of one probe, and of what is still under way on a session that the server has forgotten; shorter than the
   * interval; default min(10 seconds, interval / 2)
   */
  readonly timeout?: Duration.Input
  /** time between probes while Unhealthy, at most the interval; default min(5 seconds, interval), as Envoy's unhealthy interval */
  readonly confirmInterval?: Duration.Input
  /** failed probes in a row that end a session, at least 1; default 3 */
  readonly failureThreshold?: number
  /** silent pings in a row after which the configured tool is asked, at least 1; default 2 */
  readonly fallbackAfter?: number
  /** bound of a whole attempt, the trial of a half-open circuit included; default 30 seconds, stdio 120 seconds */
  readonly connectTimeout?: Duration.Input
  /** replaces the schedule of probes that `interval` describes */
  readonly cadence?: OwnSchedule
  /** delays between attempts; default 1 second, ×2, up to 300 seconds, jittered; reaches its cap only without a circuit */
  readonly backoff?: Partial<Exponential<Duration.Input>> | OwnSchedule
  /**
   * failed attempts in a row that open the circuit (default 5), and for how long (default 30 seconds, ×2, up to 5 minutes); from
   * 4 × `failures` (20 without a circuit) busy answers to attempts in a row on, each of them is a failed attempt
   */
  readonly circuit?:
    | {
        readonly failures?: number
        readonly openFor?: Partial<Exponential<Duration.Input>> | Duration.Input | OwnSchedule
      }
    | "none"
  /** how long a session must live, and then answer, before backoff and circuit start afresh; default 30 seconds */
  readonly stableAfter?: Duration.Input
  /** how long a call waits for a session; default 10 seconds */
  readonly waitForSession?: Duration.Input
  /** silence after which a call is preceded by a probe; default 60 seconds */
  readonly staleAfter?: Duration.Input
  /**
   * for how long a call in flight excuses probe timeouts after the last byte of its own answer (where answers share one stream, as
   * with stdio: of the session), and, times 4, in all; default 5 minutes
   */
  readonly inFlightGrace?: Duration.Input
  /**
   * how long a session may finish its calls that is replaced, whose credentials are rejected, or that is not probed and given
   * up for one call that failed; default 30 seconds
   */
  readonly drainTimeout?: Duration.Input
  /** connect when made, or for the first call; default `"eager"` */
  readonly connect?: "eager" | "lazy"
  /** close the session of a backend that nobody calls for so long; default `"never"` */
  readonly idleAfter?: Duration.Input | "never"
  /** whether a server's `readOnlyHint` and `idempotentHint` make a tool call replayable; default false */
  readonly trustAnnotations?: boolean
  /**
   * whether attempts, probes and calls are spans (`vmcp_keepalive.connect`, `.probe`, `.call`), for the tracer of the context;
   * one costs more than the rest of a guarded call; default false
   */
  readonly spans?: boolean
}

/** The policy of the context; empty unless a {@link layer} set it. */
export const Current: Context.Reference<Options> = Context.Reference("@vmcp-keepalive/core/KeepalivePolicy", {
  defaultValue: (): Options => ({})
})

/** Lays options over the policy of the context, for every backend made with this layer. */
export const layer = (options: Options): Layer.Layer<never> =>
  Layer.effect(
    Current,
    Effect.map(Effect.service(Current), (current) => overlay(current, options))
  )

/** For people who wait: probes every 30 s, a first retry within 2 s drawn at random, then up to 15 s. */
export const interactive: Options = {
  interval: "30 seconds",
  backoff: Schedule.concat(
    Schedule.duration("2 seconds").pipe(
      Schedule.modifyDelay(({ duration }) => Effect.map(Random.next, (chance) => Duration.times(duration, chance)))
    ),
    Schedule.min([Schedule.exponential("2 seconds"), Schedule.spaced("15 seconds")]).pipe(
      Schedule.jittered,
      Schedule.modifyDelay(({ duration }) => Effect.succeed(Duration.min(duration, Duration.seconds(15))))
    )
  )
}

/** The numbers of the vMCP gateway from which this library took its metrics: any failed reconnection rests for 30 minutes. */
export const vmcp: Options = {
  interval: "300 seconds",
  failureThreshold: 3,
  circuit: { failures: 1, openFor: "30 minutes" }
}

/** The numbers of the command-line client from which this library took its cadence: backoff 1 to 300 s, no circuit. */
export const cli: Options = {
  interval: "300 seconds",
  backoff: { initial: "1 second", factor: 2, cap: "300 seconds" },
  circuit: "none"
}

/** One policy laid over another: nested objects merge, Schedules replace. */
export const overlay = (under: Options, over: Options): Options => {
  const merged = new Map<string, unknown>(Object.entries(under))
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue
    const below = merged.get(key)
    const merges = key !== "probe" && isNested(below) && isNested(value)
    merged.set(key, merges ? overlay(below, value) : value)
  }
  return Object.fromEntries(merged)
}

const isPlain = (value: unknown): value is Record<string, unknown> =>
  Object.prototype.toString.call(value) === "[object Object]" &&
  !Schedule.isSchedule(value) &&
  !Duration.isDuration(value)

/** `{ seconds: 30 }` is one value: two of them do not merge into their sum. */
const isNested = (value: unknown): value is Record<string, unknown> =>
  isPlain(value) && !Object.keys(value).some((key) => units.has(key))

/**
 * Decides every number, or says everything that is wrong. The values are checked as if they were untyped: policies
 * come from configuration files too.
 */
export const resolve = (
  options: Options,
  connector: { readonly connectTimeout: Duration.Input; readonly supportsOptions: boolean }
): { readonly policy: KeepalivePolicy; readonly issues: ReadonlyArray<ConfigurationIssue> } => {
  const given: Readonly<Record<string, unknown>> = { ...options }
  const issues: Array<ConfigurationIssue> = []
  const issue = (path: string, expected: string, ...key: ReadonlyArray<string>) => {
    issues.push({ path: ["policy", ...path.split(".").filter((part) => part !== ""), ...key], expected })
  }

  const time = (path: string, value: unknown, fallback: Duration.Duration, bound: Bound = notNegative) => {
    if (value === undefined) return fallback
    const decoded = decodeDuration(value)
    if (Option.isSome(decoded) && bound.holds(decoded.value)) return decoded.value
    issue(path, `a duration ${bound.expected}`)
    return fallback
  }
  const count = (path: string, value: unknown, fallback: number) => {
    if (value === undefined) return fallback
    if (Predicate.isNumber(value) && Number.isInteger(value) && value >= 1) return value
    issue(path, "a whole number of at least 1")
    return fallback
  }
  const oneOf = <A extends string | boolean>(path: string, value: unknown, fallback: A, words: ReadonlyArray<A>): A => {
    if (value === undefined) return fallback
    const found = words.find((word) => word === value)
    if (found === undefined) issue(path, `one of ${words.map((word) => JSON.stringify(word)).join(", ")}`)
    return found ?? fallback
  }
  const exponential = (path: string, value: Record<string, unknown>, fallback: Exponential): Exponential => {
    unknownKeys(path, value, ["initial", "factor", "cap"])
    const initial = time(`${path}.initial`, value["initial"], fallback.initial, positive)
    const factor = value["factor"] === undefined ? fallback.factor : value["factor"]
    if (!Predicate.isNumber(factor) || !(factor >= 1) || !Number.isFinite(factor)) {
      issue(`${path}.factor`, "a number of at least 1")
    }
    const cap = time(`${path}.cap`, value["cap"], Duration.max(fallback.cap, initial), {
      expected: `of at least initial (${Duration.format(initial)})`,
      holds: (cap) => Duration.isGreaterThanOrEqualTo(cap, initial) && Duration.isFinite(cap)
    })
    return { initial, factor: Predicate.isNumber(factor) ? factor : fallback.factor, cap }
  }
  const unknownKeys = (path: string, value: Readonly<Record<string, unknown>>, known: ReadonlyArray<string>) => {
    for (const key of Object.keys(value)) {
      if (!known.includes(key)) issue(path, `no such setting; known are ${known.join(", ")}`, key)
    }
  }

  unknownKeys("", given, fields)

  const interval = time("interval", given["interval"], Duration.seconds(300), {
    expected: "of 1 second to 24 hours",
    holds: (value) =>
      Duration.isGreaterThanOrEqualTo(value, Duration.seconds(1)) &&
      Duration.isLessThanOrEqualTo(value, Duration.hours(24))
  })

  const backoff = (): KeepalivePolicy["backoff"] => {
    const value = given["backoff"]
    if (value === undefined) return defaultBackoff
    if (isOwnSchedule(value)) return value
    if (isPlain(value)) return exponential("backoff", value, defaultBackoff)
    issue("backoff", "{ initial, factor, cap } or a Schedule")
    return defaultBackoff
  }
  const openFor = (value: unknown): Exponential | OwnSchedule => {
    if (value === undefined) return defaultOpenFor
    if (isOwnSchedule(value)) return value
    if (isPlain(value) && (isEmpty(value) || ["initial", "factor", "cap"].some((key) => key in value))) {
      return exponential("circuit.openFor", value, defaultOpenFor)
    }
    const fixed = time("circuit.openFor", value, defaultOpenFor.initial, {
      ...positive,
      expected: "above zero, { initial, factor, cap } or a Schedule"
    })
    return { initial: fixed, factor: 1, cap: fixed }
  }
  const circuit = (): KeepalivePolicy["circuit"] => {
    const value = given["circuit"] === undefined ? {} : given["circuit"]
    if (value === "none") return "none"
    if (!isPlain(value)) {
      issue("circuit", '{ failures, openFor } or "none"')
      return { failures: defaultCircuitFailures, openFor: defaultOpenFor }
    }
    unknownKeys("circuit", value, ["failures", "openFor"])
    return {
      failures: count("circuit.failures", value["failures"], defaultCircuitFailures),
      openFor: openFor(value["openFor"])
    }
  }
  const cadence = (): OwnSchedule | undefined => {
    const value = given["cadence"]
    if (value === undefined || isOwnSchedule(value)) return value
    issue("cadence", "a Schedule")
    return undefined
  }
  const probe = (): ProbeMethod => {
    const value = given["probe"] === undefined ? "auto" : given["probe"]
    const method = isPlain(value) ? value["method"] : value
    if (isPlain(value) && (method === "ping" || method === "tool")) {
      unknownKeys("probe", value, ["method", "tool"])
      const tool = value["tool"]
      if (isPlain(tool)) unknownKeys("probe.tool", tool, ["name", "arguments"])
      const name = isPlain(tool) ? tool["name"] : undefined
      if (Predicate.isString(name) && name !== "") {
        const parameters = isPlain(tool) ? tool["arguments"] : undefined
        if (parameters !== undefined && !isPlain(parameters)) issue("probe.tool.arguments", "an object")
        return { method, tool: { name, ...(isPlain(parameters) ? { arguments: parameters } : {}) } }
      }
      issue("probe.tool.name", "the name of a tool")
      return "auto"
    }
    if (method === "tool") {
      issue("probe.tool.name", "the name of a tool")
      return "auto"
    }
    if (method === "options" && !connector.supportsOptions) {
      issue("probe", "a method that this transport has; options is HTTP's")
      return "auto"
    }
    const found = plainMethods.find((word) => word === value)
    if (found === undefined) {
      issue("probe", `one of ${plainMethods.join(", ")}, or { method: "tool" | "ping", tool: { name, arguments? } }`)
    }
    return found ?? "auto"
  }

  const policy: KeepalivePolicy = {
    probe: probe(),
    interval,
    timeout: time("timeout", given["timeout"], Duration.min(Duration.seconds(10), Duration.times(interval, 0.5)), {
      expected: `above zero and shorter than the interval (${Duration.format(interval)})`,
      holds: (value) => Duration.isGreaterThan(value, Duration.zero) && Duration.isLessThan(value, interval)
    }),
    confirmInterval: time("confirmInterval", given["confirmInterval"], Duration.min(Duration.seconds(5), interval), {
      expected: `above zero and at most the interval (${Duration.format(interval)})`,
      holds: (value) => Duration.isGreaterThan(value, Duration.zero) && Duration.isLessThanOrEqualTo(value, interval)
    }),
    failureThreshold: count("failureThreshold", given["failureThreshold"], 3),
    fallbackAfter: count("fallbackAfter", given["fallbackAfter"], 2),
    connectTimeout: time(
      "connectTimeout",
      given["connectTimeout"],
      Duration.fromInputUnsafe(connector.connectTimeout),
      positive
    ),
    cadence: cadence(),
    backoff: backoff(),
    circuit: circuit(),
    stableAfter: time("stableAfter", given["stableAfter"], Duration.seconds(30), {
      expected: "of zero or more that ends",
      holds: (value) => notNegative.holds(value) && Duration.isFinite(value)
    }),
    waitForSession: time("waitForSession", given["waitForSession"], Duration.seconds(10)),
    staleAfter: time("staleAfter", given["staleAfter"], Duration.seconds(60)),
    inFlightGrace: time("inFlightGrace", given["inFlightGrace"], Duration.minutes(5)),
    drainTimeout: time("drainTimeout", given["drainTimeout"], Duration.seconds(30)),
    connect: oneOf("connect", given["connect"], "eager", ["eager", "lazy"]),
    idleAfter:
      given["idleAfter"] === undefined || given["idleAfter"] === "never"
        ? "never"
        : time("idleAfter", given["idleAfter"], Duration.hours(1), { ...positive, expected: 'above zero, or "never"' }),
    trustAnnotations: oneOf("trustAnnotations", given["trustAnnotations"], false, [true, false]),
    spans: oneOf("spans", given["spans"], false, [true, false])
  }
  return { policy, issues }
}

/** The rung of the ladder that a configured tool stands for. */
export const toolRung = (tool: ToolProbe): ProbeRung => ({
  _tag: "tool",
  name: tool.name,
  arguments: tool.arguments ?? {}
})

/** How many failed attempts in a row open the circuit unless the policy says otherwise. */
export const defaultCircuitFailures = 5
/** The backoff that a policy has unless it names one. */
export const defaultBackoff: Exponential = { initial: Duration.seconds(1), factor: 2, cap: Duration.seconds(300) }
/** How long a circuit opens unless the policy says otherwise. */
export const defaultOpenFor: Exponential = { initial: Duration.seconds(30), factor: 2, cap: Duration.minutes(5) }

const plainMethods = ["auto", "ping", "list-tools", "discover", "options", "none"] as const

const fields: ReadonlyArray<keyof Options> = [
  "probe",
  "interval",
  "timeout",
  "confirmInterval",
  "failureThreshold",
  "fallbackAfter",
  "connectTimeout",
  "cadence",
  "backoff",
  "circuit",
  "stableAfter",
  "waitForSession",
  "staleAfter",
  "inFlightGrace",
  "drainTimeout",
  "connect",
  "idleAfter",
  "trustAnnotations",
  "spans"
]

interface Bound {
  readonly expected: string
  readonly holds: (value: Duration.Duration) => boolean
}

const notNegative: Bound = {
  expected: "of zero or more",
  holds: (value) => Duration.isGreaterThanOrEqualTo(value, Duration.zero)
}

const positive: Bound = {
  expected: "above zero",
  holds: (value) => Duration.isGreaterThan(value, Duration.zero) && Duration.isFinite(value)
}

const isOwnSchedule = (value: unknown): value is OwnSchedule => Schedule.isSchedule(value)

const isEmpty = (value: object) => Object.keys(value).length === 0

const units: ReadonlySet<string> = new Set<keyof Duration.DurationObject>([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

/** Stricter than Effect, which reads NaN, an empty object and an unknown unit as zero. */
const isDurationInput = (value: unknown): value is Duration.Input => {
  if (Array.isArray(value)) return value.length === 2 && Number.isFinite(value[0]) && Number.isFinite(value[1])
  if (isPlain(value)) {
    const parts = Object.entries(value).filter(([, part]) => part !== undefined)
    return parts.length > 0 && parts.every(([unit, part]) => units.has(unit) && Number.isFinite(part))
  }
  return Duration.isDuration(value) || (typeof value !== "object" && !Number.isNaN(value))
}

const decodeDuration = Option.liftThrowable((value: unknown) => {
  if (!isDurationInput(value)) throw new Error("not a duration")
  return Duration.fromInputUnsafe(value)
})
