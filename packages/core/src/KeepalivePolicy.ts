/**
 * The numbers that govern a backend, with their defaults, their bounds and the presets.
 *
 * An app sets one policy for all its backends with {@link layer}; a backend's own options are laid over it: nested
 * objects merge, Schedules replace. Values are checked when a backend is made, before anything connects.
 */
import type * as Config from "effect/Config"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import type { ConfigurationIssue } from "./BackendError.ts"
import {
  defaultBackoff,
  defaultCircuitFailures,
  defaultInterval,
  defaultOpenFor,
  defaultQueue,
  defaultReplayBudget
} from "./internal/defaults.ts"
import { checker } from "./internal/issues.ts"
import * as PolicyConfig from "./internal/policyConfig.ts"
import * as PolicySchema from "./internal/policySchema.ts"
import * as Sharing from "./internal/sharing.ts"
import * as Untyped from "./internal/untyped.ts"

/**
 * An exponential delay: `initial`, `initial × factor`, … up to `cap`.
 *
 * @since 0.1.0
 */
export interface Exponential<Time = Duration.Duration> {
  readonly initial: Time
  readonly factor: number
  readonly cap: Time
}

/**
 * A schedule of one's own. One that ends goes on with its last delay.
 *
 * @since 0.1.0
 */
export type OwnSchedule = Schedule.Schedule<unknown>

/**
 * A tool that serves as probe: it should be cheap and change nothing.
 *
 * @since 0.1.0
 */
export interface ToolProbe {
  readonly name: string
  /** default: none */
  readonly arguments?: Readonly<Record<string, unknown>> | undefined
}

/**
 * How to ask whether a server lives.
 *
 * - `auto`: the question of the era, as `ping`. Always, where something over there lives for us alone: an HTTP session, a child
 *   process. Elsewhere (stateless HTTP, MCP 2026-07-28 over HTTP) only while a call waits for its answer: there is nothing to keep
 * - `ping`: the question of the era: MCP's `ping`, in MCP 2026-07-28 `server/discover`. With a `tool`, that tool is asked in the same
 *   round after `fallbackAfter` of them in a row that met silence
 * - `tool`: `isError` is life too; a tool that the server does not list fails the attempt
 * - `list-tools`: the deep probe: it sees through gateways that answer `ping` for a dead server
 * - `discover`: the same as `ping`
 * - `options` (HTTP): an OPTIONS request with the same headers; weaker than `ping`: it sees HTTP, not MCP
 * - `none`: no probes; traffic and the transport alone drive the state
 *
 * @since 0.1.0
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

/**
 * A policy with every number decided.
 *
 * @since 0.1.0
 */
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
  readonly removalGrace: Duration.Duration
  readonly connect: "eager" | "lazy"
  readonly reattempt: "immediate" | "backoff"
  readonly idleAfter: Duration.Duration | "never"
  readonly maxLifetime: Duration.Duration | "never"
  readonly maxConcurrent: number | "none"
  readonly queue: number
  readonly replayBudget: { readonly ratio: number; readonly window: Duration.Duration } | "none"
  readonly trustAnnotations: boolean
  readonly required: boolean
  readonly startDeadline: Duration.Duration
  readonly spans: boolean
}

/**
 * An exponential delay as one writes it: what is left out comes from the default.
 *
 * @since 0.1.0
 */
export interface ExponentialOptions {
  readonly initial?: Duration.Input | undefined
  readonly factor?: number | undefined
  /** default: that of the setting, or `initial` where that is longer */
  readonly cap?: Duration.Input | undefined
}

/**
 * A policy as one writes it: what is left out comes from the context, and then from the default.
 *
 * @since 0.1.0
 */
export interface Options {
  /** how to probe; default `"auto"` */
  readonly probe?: ProbeMethod | undefined
  /** time between probes of a healthy session, ±10 %: 1 second to 24 hours; default 300 seconds */
  readonly interval?: Duration.Input | undefined
  /**
   * bound of one probe, and of what is still under way on a session that the server has forgotten; shorter than the
   * interval; default min(10 seconds, interval / 2)
   */
  readonly timeout?: Duration.Input | undefined
  /** time between probes while Unhealthy, at most the interval; default min(5 seconds, interval), as Envoy's unhealthy interval */
  readonly confirmInterval?: Duration.Input | undefined
  /** failed probes in a row that end a session, at least 1; default 3 */
  readonly failureThreshold?: number | undefined
  /** pings in a row that met silence, after which the configured tool is asked, at least 1; default 2 */
  readonly fallbackAfter?: number | undefined
  /** bound of a whole attempt, the trial of a half-open circuit included; default 30 seconds, stdio 120 seconds */
  readonly connectTimeout?: Duration.Input | undefined
  /** replaces the schedule of probes that `interval` describes */
  readonly cadence?: OwnSchedule | undefined
  /** delays between attempts; default 1 second, ×2, up to 300 seconds, jittered; reaches its cap only without a circuit */
  readonly backoff?: ExponentialOptions | OwnSchedule | undefined
  /**
   * failed attempts in a row that open the circuit (default 5), and for how long (default 30 seconds, ×2, up to 5 minutes); from
   * 4 × `failures` (20 without a circuit) busy answers to attempts in a row on, each of them is a failed attempt
   */
  readonly circuit?:
    | {
        readonly failures?: number | undefined
        readonly openFor?: ExponentialOptions | Duration.Input | OwnSchedule | undefined
      }
    | "none"
    | undefined
  /** how long a session must live, and then answer, before backoff and circuit start afresh; default 30 seconds */
  readonly stableAfter?: Duration.Input | undefined
  /** how long a call waits for a session; default 10 seconds */
  readonly waitForSession?: Duration.Input | undefined
  /** silence after which a call is preceded by a probe; default 60 seconds */
  readonly staleAfter?: Duration.Input | undefined
  /**
   * for how long a call in flight excuses probe timeouts after the last byte of its own answer (where answers share one stream, as
   * with stdio: of the session), and, times 4, in all; default 5 minutes
   */
  readonly inFlightGrace?: Duration.Input | undefined
  /**
   * how long a session may finish its calls that is replaced, whose credentials are rejected, or that is not probed and given
   * up for one call that failed; default 30 seconds
   */
  readonly drainTimeout?: Duration.Input | undefined
  /**
   * how long a tool, prompt or resource that the server does not list any more is kept before it is told to be removed, since
   * servers that start list what they have piece by piece; zero: at once; default 30 seconds
   */
  readonly removalGrace?: Duration.Input | undefined
  /** connect when made, or for the first call; default `"eager"` */
  readonly connect?: "eager" | "lazy" | undefined
  /**
   * when a stable session that was lost is attempted anew: at once, or after the first delay of `backoff`, so that many which lose theirs
   * together do not return together; default `"immediate"`
   */
  readonly reattempt?: "immediate" | "backoff" | undefined
  /** close the session of a backend that nobody calls for so long; default `"never"` */
  readonly idleAfter?: Duration.Input | "never" | undefined
  /**
   * how long a session lives, ±10 % drawn for each, before another takes its place: beside it, so that its calls may end within
   * `drainTimeout`; where two at once are impossible (stdio), after it; default `"never"`
   */
  readonly maxLifetime?: Duration.Input | "never" | undefined
  /**
   * calls of the backend that run at a time, at least 1; further ones wait for their turn, in order. A call that makes another one
   * of the same backend and waits for it takes two places; default `"none"`: no limit
   */
  readonly maxConcurrent?: number | "none" | undefined
  /**
   * where `maxConcurrent` or a `CallLimit` limits them: how many calls may wait for their turn. Those that wait for a session take a
   * place too, so that at most `maxConcurrent` + `queue` calls are admitted at any time; beyond it they are rejected at once, as
   * `overloaded`; zero or more, default 1,000
   */
  readonly queue?: number | undefined
  /**
   * calls that are run again, as a share of the calls of the last `window`, one always allowed: beyond it a call ends with what it
   * would have ended with if it could not be run again. Of those that are run again, the ones do not count of which nothing can have
   * reached the server, and those that are sent once more with other credentials; `ratio` from 0 to 1, default 0.2, `window` default
   * 10 seconds; `"none"`: no bound
   */
  readonly replayBudget?:
    | { readonly ratio?: number | undefined; readonly window?: Duration.Input | undefined }
    | "none"
    | undefined
  /** whether a server's `readOnlyHint` and `idempotentHint` make a tool call replayable; default false */
  readonly trustAnnotations?: boolean | undefined
  /** whether the host is not ready without it: `Fleet.ready` waits for it; default false */
  readonly required?: boolean | undefined
  /** by when after it was made it must have been connected once, if it is required; default 30 seconds */
  readonly startDeadline?: Duration.Input | undefined
  /**
   * whether attempts, probes and calls are spans (`vmcp_keepalive.connect`, `.probe`, `.call`), for the tracer of the context;
   * one costs more than the rest of a guarded call; default false
   */
  readonly spans?: boolean | undefined
}

/**
 * The options that can be written in a file, as JSON has them: durations in words or as numbers of milliseconds, and no Schedules.
 * Decoded they are {@link Options}. It knows every bound; of rules between settings those only that stand in the same object, since
 * others may be laid over it: {@link resolve} decides.
 *
 * @since 0.1.0
 */
export const FileOptions = PolicySchema.ofFile

/**
 * The policy of the context; empty unless a {@link layer} set it.
 *
 * @since 0.1.0
 */
export const Current: Context.Reference<Options> = Context.Reference("@vmcp-keepalive/core/KeepalivePolicy", {
  defaultValue: (): Options => ({})
})

/**
 * Lays options over the policy of the context, for every backend made with this layer.
 *
 * @since 0.1.0
 */
export const layer = (options: Options): Layer.Layer<never> =>
  Layer.effect(
    Current,
    Effect.map(Effect.service(Current), (current) => overlay(current, options))
  )

/**
 * The options that stand in the environment, or wherever the `ConfigProvider` of the context reads. A setting has the name of its
 * path in capitals: `failureThreshold` is `KEEPALIVE_FAILURE_THRESHOLD`, `circuit.openFor.cap` is
 * `KEEPALIVE_CIRCUIT_OPEN_FOR_CAP`. Durations are written as `30 seconds`, flags as `true` or `false`,
 * `KEEPALIVE_PROBE_TOOL_ARGUMENTS` as JSON. Schedules have no variable.
 *
 * It fails with every mistake at once, each with the name of its variable and never with its value; a variable that begins so and
 * is no setting is a mistake. `prefix` stands in place of `KEEPALIVE`: one within `Config.nested` is found as well, but named in
 * errors without the outer name.
 *
 * @since 0.1.0
 */
export const config = (prefix = "KEEPALIVE"): Config.Config<Options> => PolicyConfig.read(prefix)

/**
 * Lays options that are read from the environment, by default those of {@link config}, over the policy of the context.
 *
 * @since 0.1.0
 */
export const layerConfig = (options: Config.Config<Options> = config()): Layer.Layer<never, Config.ConfigError> =>
  Layer.effect(
    Current,
    Effect.gen(function* () {
      return overlay(yield* Current, yield* options)
    })
  )

/**
 * For people who wait: probes every 30 s, a first attempt within 2 s drawn at random, then up to 15 s apart, however long the server is
 * away: an open circuit spares its calls, and is tried every 8 to 12 s.
 *
 * @since 0.1.0
 */
export const interactive: Options = {
  interval: "30 seconds",
  reattempt: "backoff",
  circuit: { openFor: Schedule.jittered(Schedule.spaced("10 seconds")) },
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

/**
 * The numbers of the vMCP gateway from which this library took its metrics: any failed reconnection rests for 30 minutes.
 *
 * @since 0.1.0
 */
export const vmcp: Options = {
  interval: "300 seconds",
  failureThreshold: 3,
  circuit: { failures: 1, openFor: "30 minutes" }
}

/**
 * The numbers of the command-line client from which this library took its cadence: backoff 1 to 300 s, no circuit.
 *
 * @since 0.1.0
 */
export const cli: Options = {
  interval: "300 seconds",
  backoff: { initial: "1 second", factor: 2, cap: "300 seconds" },
  circuit: "none"
}

/**
 * One policy laid over another: nested objects merge, Schedules replace. The same two give the same one.
 *
 * @since 0.1.0
 */
export const overlay: (under: Options, over: Options) => Options = Sharing.ofTwo((under, over) => merged(under, over))

const merged = (under: Options, over: Options): Options => {
  const all = new Map<string, unknown>(Object.entries(under))
  for (const [key, value] of Object.entries(over)) {
    if (value === undefined) continue
    const below = all.get(key)
    const merges = key !== "probe" && isNested(below) && isNested(value)
    all.set(key, merges ? merged(below, value) : value)
  }
  return Object.fromEntries(all)
}

/** `{ seconds: 30 }` is one value: two of them do not merge into their sum. */
const isNested = (value: unknown): value is Record<string, unknown> => Untyped.isPlain(value) && !Untyped.isParts(value)

/**
 * What decides about a policy beside its options.
 *
 * @since 0.1.0
 */
export interface Transport {
  readonly connectTimeout: Duration.Input
  readonly supportsOptions: boolean
}

/**
 * A policy, and what is wrong with the options of which it was made: there, the defaults stand in.
 *
 * @since 0.1.0
 */
export interface Resolved {
  readonly policy: KeepalivePolicy
  readonly issues: ReadonlyArray<ConfigurationIssue>
}

/**
 * Decides every number, or says everything that is wrong. The values are checked as if they were untyped: policies
 * come from configuration files too. Options are read once: the same ones, and others that say the same, share what comes of
 * them.
 *
 * @since 0.1.0
 */
export const resolve = (options: Options, connector: Transport): Resolved => {
  const connectTimeout = Duration.toMillis(Duration.fromInputUnsafe(connector.connectTimeout))
  return resolved(options, `${connector.supportsOptions} ${connectTimeout}`, () => decide(options, connector))
}

const resolved = Sharing.ofOptions<Resolved>()

const decide = (options: Options, connector: Transport): Resolved => {
  const { issues, value } = check(Untyped.prepared({ ...options }))
  const isForeign = value.probe === "options" && !connector.supportsOptions
  const interval = value.interval ?? defaultInterval
  const policy: KeepalivePolicy = {
    probe: isForeign ? "auto" : (value.probe ?? "auto"),
    interval,
    timeout: value.timeout ?? Duration.min(Duration.seconds(10), Duration.times(interval, 0.5)),
    confirmInterval: value.confirmInterval ?? Duration.min(Duration.seconds(5), interval),
    failureThreshold: value.failureThreshold ?? 3,
    fallbackAfter: value.fallbackAfter ?? 2,
    connectTimeout: value.connectTimeout ?? Duration.fromInputUnsafe(connector.connectTimeout),
    cadence: value.cadence,
    backoff: delaysOf(value.backoff, defaultBackoff),
    circuit:
      value.circuit === "none"
        ? "none"
        : {
            failures: value.circuit?.failures ?? defaultCircuitFailures,
            openFor: delaysOf(value.circuit?.openFor, defaultOpenFor)
          },
    stableAfter: value.stableAfter ?? Duration.seconds(30),
    waitForSession: value.waitForSession ?? Duration.seconds(10),
    staleAfter: value.staleAfter ?? Duration.seconds(60),
    inFlightGrace: value.inFlightGrace ?? Duration.minutes(5),
    drainTimeout: value.drainTimeout ?? Duration.seconds(30),
    removalGrace: value.removalGrace ?? Duration.seconds(30),
    connect: value.connect ?? "eager",
    reattempt: value.reattempt ?? "immediate",
    idleAfter: value.idleAfter ?? "never",
    maxLifetime: value.maxLifetime ?? "never",
    maxConcurrent: value.maxConcurrent ?? "none",
    queue: value.queue ?? defaultQueue,
    replayBudget:
      value.replayBudget === "none"
        ? "none"
        : {
            ratio: value.replayBudget?.ratio ?? defaultReplayBudget.ratio,
            window: value.replayBudget?.window ?? defaultReplayBudget.window
          },
    trustAnnotations: value.trustAnnotations ?? false,
    required: value.required ?? false,
    startDeadline: value.startDeadline ?? Duration.seconds(30),
    spans: value.spans ?? false
  }
  const foreign = { path: ["probe"], expected: "a method that this transport has; options is HTTP's" }
  return {
    policy,
    issues: [...(isForeign ? [foreign] : []), ...issues].map(({ expected, path }) => ({
      path: ["policy", ...path],
      expected
    }))
  }
}

interface Delays {
  readonly initial?: Duration.Duration | undefined
  readonly factor?: number | undefined
  readonly cap?: Duration.Duration | undefined
}

const delaysOf = (
  given: OwnSchedule | Duration.Duration | Delays | undefined,
  fallback: Exponential
): Exponential | OwnSchedule => {
  if (given === undefined) return fallback
  if (Schedule.isSchedule(given)) return given
  if (Duration.isDuration(given)) return { initial: given, factor: 1, cap: given }
  const { initial = fallback.initial, factor = fallback.factor, cap = Duration.max(fallback.cap, initial) } = given
  return { initial, factor, cap }
}

const CodeOptions = PolicySchema.ofCode({
  interval: defaultInterval,
  backoff: defaultBackoff,
  openFor: defaultOpenFor
})

const check = checker(CodeOptions, Object.keys(CodeOptions.fields))
