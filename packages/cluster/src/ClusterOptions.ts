/**
 * How a process takes part in a cluster: the numbers, their defaults and bounds, checked before anything starts.
 */
import { BackendError, Starts } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type * as Redacted from "effect/Redacted"
import * as Address from "./internal/address.ts"
import * as Seal from "./internal/ledger/seal.ts"
import * as TlsIssues from "./internal/tls.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What one process says of itself and of the cluster.
 *
 * @since 0.1.0
 */
export interface Options {
  /**
   * Where the other processes reach this one: `host:port`, an IPv6 address in brackets. It is the process's name in the cluster, so that no
   * two may have the same. A loopback address and one that stands for all are refused: every process would be found in itself.
   */
  readonly address: string
  /** Accepts a loopback address: all processes are on this machine, as in a test. Default: false */
  readonly allowLoopback?: boolean | undefined
  /**
   * How long a process keeps its backends without a word from the storage: 3 seconds to 10 minutes, the same in every process. After that
   * another one may take them, so it is also how long those of a process that was killed are without one. Default: 15 seconds
   */
  readonly lease?: Duration.Input | undefined
  /**
   * How long a process that ends, or hands a backend over, waits for the calls under way; less than the lease. Default: half of the lease,
   * 10 seconds at most
   */
  readonly drain?: Duration.Input | undefined
  /** how long a call or an order waits for a process that keeps the backend. Default: the lease and 5 seconds more */
  readonly waitForOwner?: Duration.Input | undefined
  /**
   * Into how many shards the backends are divided: 1 to 10,000, the same in every process and for as long as the cluster lives. A process keeps
   * whole shards: with fewer than 60 a process they are spread unevenly. Default: 300
   */
  readonly shards?: number | undefined
  /**
   * How many attempts at a time an origin has room for, of all processes together: each has its part of it, and always one. It holds for origins
   * that name no limit of their own, as those of HTTP, and has no say in how many children one machine starts. 1 to 10,000, the same in every process.
   * Default: `perOrigin` of `Starts`, 8 unless set, as for one process
   */
  readonly originStarts?: number | undefined
  /**
   * What it takes for the backends of a process that died to be taken over: `lease`, that its lease has ended; or `refused`, that in half a second it has
   * not written to the storage, and that its address refuses connections three times in a row. That is sooner, and is not certain: a firewall that
   * rejects connections to a process which cannot reach the storage looks the same, and that process acts on its leases until it looks at them
   * again. Default: `lease`
   */
  readonly declareDead?: "lease" | "refused" | undefined
  /**
   * Mutual TLS between the processes: each has a certificate of an authority that all trust, for the host of its address, and refuses whoever has none.
   * They are read once. Default: none, so that whoever reaches the port may do what a process of the cluster may
   */
  readonly tls?: Tls | undefined
  /**
   * That the next owner of a backend ends the session of one that died or is frozen, which a server that allows one session only waits for. What
   * names a session is kept in the storage, encrypted with the `key`: 32 bytes in Base64 (`openssl rand -base64 32`), the same in every process.
   * Default: no session is kept, and none is ended
   */
  readonly sessionLedger?: { readonly key: Redacted.Redacted<string> } | undefined
}

/**
 * The certificates of a process, in PEM.
 *
 * @since 0.1.0
 */
export interface Tls {
  /** the authorities whose certificates are accepted */
  readonly ca: string
  /** that of this process, with those between it and an authority, if there are any */
  readonly cert: string
  readonly key: Redacted.Redacted<string>
  /** The name that the certificates of all processes are for, in place of the hosts of their addresses: as where these are of pods */
  readonly name?: string | undefined
}

/**
 * Options with every number decided.
 *
 * @since 0.1.0
 */
export interface Settings {
  readonly address: { readonly host: string; readonly port: number }
  readonly lease: Duration.Duration
  readonly drain: Duration.Duration
  readonly waitForOwner: Duration.Duration
  readonly shards: number
  readonly originStarts: number
  readonly declareDead: "lease" | "refused"
  readonly tls: Tls | undefined
  readonly sessionLedger: { readonly key: Redacted.Redacted<string> } | undefined
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * Decides every number. Fails with everything that is wrong, by its setting and without its value.
 *
 * @since 0.1.0
 */
export const resolve = (options: Options): Effect.Effect<Settings, BackendError.ConfigurationError> => {
  const issues = issuesOf(options)
  if (issues.length > 0) return Effect.fail(new BackendError.ConfigurationError({ backend: "", issues }))
  const lease = Duration.fromInputUnsafe(options.lease ?? defaultLease)
  return Effect.map(Starts.Current, ({ limits }) => ({
    address: Option.getOrThrow(Address.parse(options.address)),
    lease,
    drain: Duration.fromInputUnsafe(options.drain ?? Duration.min(Duration.divideUnsafe(lease, 2), longestDrain)),
    waitForOwner: Duration.fromInputUnsafe(options.waitForOwner ?? Duration.sum(lease, Duration.seconds(5))),
    shards: options.shards ?? 300,
    originStarts: options.originStarts ?? limits.perOrigin,
    declareDead: options.declareDead ?? "lease",
    tls: options.tls,
    sessionLedger: options.sessionLedger
  }))
}

// ----------------------------------------------------------------------------------------------------------- internal

const defaultLease = Duration.seconds(15)
const longestDrain = Duration.seconds(10)

const Span = (least: Duration.Input, most: Duration.Input) =>
  Schema.UndefinedOr(
    Schema.Duration.check(
      Schema.makeFilter(
        (span: Duration.Duration) =>
          Duration.isGreaterThanOrEqualTo(span, Duration.fromInputUnsafe(least)) &&
          Duration.isLessThanOrEqualTo(span, Duration.fromInputUnsafe(most))
      )
    )
  )

const Count = Schema.UndefinedOr(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 10_000 })))

const fields = {
  address: Schema.String.check(Schema.makeFilter((text) => Option.isSome(Address.parse(text)))),
  allowLoopback: Schema.UndefinedOr(Schema.Boolean),
  // Below that a refresh has no time to be tried again; above, nobody would wait for an owner.
  lease: Span("3 seconds", "10 minutes"),
  drain: Span("0 seconds", "10 minutes"),
  waitForOwner: Span("0 seconds", "1 hour"),
  shards: Count,
  originStarts: Count,
  declareDead: Schema.UndefinedOr(Schema.Literals(["lease", "refused"])),
  tls: Schema.UndefinedOr(
    Schema.Struct({
      ca: Schema.String,
      cert: Schema.String,
      key: Schema.Redacted(Schema.String),
      name: Schema.optional(Schema.NonEmptyString)
    })
  ),
  sessionLedger: Schema.UndefinedOr(
    Schema.Struct({ key: Schema.Redacted(Schema.String.check(Schema.makeFilter(Seal.isKey))) })
  )
}

const expected: { readonly [Field in keyof typeof fields]: string } = {
  address: "host:port, as others reach this process",
  allowLoopback: "true or false",
  lease: "a duration from 3 seconds to 10 minutes",
  drain: "a duration from 0 seconds, less than the lease",
  waitForOwner: "a duration from 0 seconds to 1 hour",
  shards: "a whole number from 1 to 10,000",
  originStarts: "a whole number from 1 to 10,000",
  declareDead: '"lease" or "refused"',
  tls: "ca and cert in PEM, key redacted, and optionally name",
  sessionLedger: "a key of 32 bytes in Base64, redacted"
}

const isField = (key: unknown): key is keyof typeof fields => typeof key === "string" && key in expected

const decode = Schema.decodeUnknownResult(Schema.Struct(fields), { errors: "all", onExcessProperty: "error" })

const format = SchemaIssue.makeFormatterStandardSchemaV1()

/** A duration where it is one, and what it is where not, which the Schema refuses. */
const spanOf = (input: Duration.Input | undefined) =>
  input === undefined ? undefined : Option.getOrElse<Duration.Duration, unknown>(Duration.fromInput(input), () => input)

const issuesOf = (options: Options): ReadonlyArray<BackendError.ConfigurationIssue> => {
  const lease = spanOf(options.lease)
  const drain = spanOf(options.drain)
  const decoded = decode({
    allowLoopback: undefined,
    shards: undefined,
    originStarts: undefined,
    declareDead: undefined,
    tls: undefined,
    sessionLedger: undefined,
    ...options,
    lease,
    drain,
    waitForOwner: spanOf(options.waitForOwner)
  })
  const wrong = new Map<string, string>()
  if (Result.isFailure(decoded))
    for (const { path } of format(decoded.failure.issue).issues) {
      const key = path?.[0]
      wrong.set(String(key), isField(key) ? expected[key] : "no such setting")
    }
  const address = Option.getOrUndefined(Address.parse(String(options.address)))
  if (address !== undefined && options.allowLoopback !== true && Address.isOfOneMachine(address.host))
    wrong.set("address", "an address at which other machines reach this process")
  if (options.tls !== undefined && address !== undefined && !wrong.has("tls"))
    for (const [key, expected] of TlsIssues.issuesOf(options.tls, address.host)) wrong.set(key, expected)
  const held = Duration.isDuration(lease) ? lease : defaultLease
  if (Duration.isDuration(drain) && Duration.isGreaterThanOrEqualTo(drain, held)) wrong.set("drain", expected.drain)
  return [...wrong].map(([key, expected]) => ({ path: key.split("."), expected }))
}
