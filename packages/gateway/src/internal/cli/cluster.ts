/**
 * What makes a gateway one of several that share their backends: what the command line and the environment say of it, checked before anything starts. Its
 * packages are loaded only where it is asked for.
 */
import type { ClusterBackends, ClusterOptions } from "@vmcp-keepalive/cluster"
import type { BackendError, Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { SocketServerError } from "effect/socket/SocketServer"
import type { SqlError } from "effect/sql/SqlError"
import { readFile } from "node:fs/promises"
import { join as within } from "node:path"
import * as Listening from "./listening.ts"
import { fail, type Told } from "./told.ts"

/** As the command line has them. */
export interface Options {
  readonly cluster: Option.Option<Redacted.Redacted<string>>
  readonly address: Option.Option<string>
  readonly lease: Option.Option<string>
  readonly allowLoopback: boolean
  readonly clusterTls: Option.Option<string>
  readonly clusterTlsName: Option.Option<string>
  readonly clusterDeclareDead: Option.Option<"lease" | "refused">
  readonly clusterOriginStarts: Option.Option<number>
}

/** The variable of the environment with the URL of the database: a command line is seen by every user of the machine. */
export const variable = "VMCP_CLUSTER_URL"
/** That with the key under which the sessions of servers are kept in the database: whoever has both could go on with them. */
export const ledgerVariable = "VMCP_CLUSTER_LEDGER_KEY"
/** What the folder of certificates holds, by the names that Kubernetes gives them in a Secret. */
export const certificates = { ca: "ca.crt", cert: "tls.crt", key: "tls.key" } as const

/** A cluster that can be joined. */
export interface Cluster {
  /** Takes part in it until the scope ends; fails with a line where that is not possible after all. */
  readonly join: Effect.Effect<ClusterBackends.Shape, Told, Fleet.Transport<Peer.Peer> | Scope.Scope>
  /** signs the ids of hosts' sessions: the same in every process, so that each goes on with those of the others */
  readonly sessionKey: Redacted.Redacted<Uint8Array>
  /** how long the calls under way are waited for when this process is to end */
  readonly drain: Duration.Duration
}

/** `undefined` where the gateway stands alone. Fails, with a line for each thing that is wrong, before anything is started. */
export const prepare = Effect.fn(function* (options: Options) {
  const url = yield* urlOf(options)
  if (url === undefined) {
    const needless = [
      ...(Option.isSome(options.address) ? ["--address"] : []),
      ...(Option.isSome(options.lease) ? ["--lease"] : []),
      ...(options.allowLoopback ? ["--allow-loopback"] : []),
      ...(Option.isSome(options.clusterTls) ? ["--cluster-tls"] : []),
      ...(Option.isSome(options.clusterTlsName) ? ["--cluster-tls-name"] : []),
      ...(Option.isSome(options.clusterDeclareDead) ? ["--cluster-declare-dead"] : []),
      ...(Option.isSome(options.clusterOriginStarts) ? ["--cluster-origin-starts"] : []),
      ...(process.env[ledgerVariable] === undefined ? [] : [ledgerVariable])
    ]
    return needless.length === 0
      ? undefined
      : yield* fail(
          needless.map((flag) => `${flag} is for gateways of a cluster: give --cluster, or ${variable}`).join("\n")
        )
  }
  if (Option.isNone(options.address))
    return yield* fail("a gateway of a cluster needs --address HOST:PORT, where the others reach it")
  const packages = yield* Effect.promise(load)
  if (packages === undefined)
    return yield* fail(
      "a cluster needs packages that are not installed: npm install @vmcp-keepalive/cluster @effect/sql-pg"
    )
  const { ClusterBackends, ClusterOptions, PgClient, SharedKey } = packages
  const own: ClusterOptions.Options = {
    address: options.address.value,
    allowLoopback: options.allowLoopback,
    lease: yield* leaseOf(options.lease),
    tls: yield* tlsOf(options),
    sessionLedger: ledgerOf(),
    declareDead: Option.getOrUndefined(options.clusterDeclareDead),
    originStarts: Option.getOrUndefined(options.clusterOriginStarts)
  }
  const { address, drain } = yield* Effect.catch(ClusterOptions.resolve(own), ({ issues }) =>
    fail(issues.map(({ expected, path }) => `${nameOf(path.join("."))} takes ${expected}`).join("\n"))
  )
  yield* Listening.check(address.host, address.port, { port: "--address", host: "--address" })
  const storage = PgClient.layer({ url })
  const sessionKey = yield* SharedKey.get("host-sessions").pipe(
    Effect.provide(storage),
    Effect.catch((error) =>
      error._tag === "ConfigurationError"
        ? fail("the database of the cluster holds something else in the table vmcp_keepalive_keys: remove it")
        : told(error)
    )
  )
  const join = Layer.build(Layer.provide(ClusterBackends.layer({ ...own, backends: [] }), storage)).pipe(
    Effect.map((context) => Context.get(context, ClusterBackends.ClusterBackends)),
    Effect.catch(told)
  )
  const cluster: Cluster = { join, sessionKey, drain }
  return cluster
})

const isPostgres = (url: string): boolean => /^postgres(ql)?:\/\/./.test(url)

const urlOf = ({ cluster }: Options): Effect.Effect<Redacted.Redacted<string> | undefined, Told> =>
  Effect.suspend(() => {
    // not through Config, to which a variable that is empty is none
    const text = process.env[variable]
    const [url, from] = Option.isSome(cluster)
      ? ([cluster.value, "--cluster"] as const)
      : ([text === undefined ? undefined : Redacted.make(text), variable] as const)
    return url === undefined || isPostgres(Redacted.value(url))
      ? Effect.succeed(url)
      : fail(`${from} takes the URL of a Postgres database, such as postgres://user:password@host/database`)
  })

const leaseOf = (text: Option.Option<string>): Effect.Effect<Duration.Duration | undefined, Told> =>
  Option.match(text, {
    onNone: () => Effect.undefined,
    onSome: (text) =>
      Option.match(Schema.decodeUnknownOption(Schema.DurationFromString)(text), {
        onNone: () => fail('--lease takes a duration with its unit, such as "15 seconds"'),
        onSome: Effect.succeed
      })
  })

/** What is read is looked at with the other options. */
const tlsOf = ({ clusterTls, clusterTlsName }: Options): Effect.Effect<ClusterOptions.Tls | undefined, Told> =>
  Effect.suspend(() => {
    if (Option.isNone(clusterTls))
      return Option.isNone(clusterTlsName)
        ? Effect.undefined
        : fail("--cluster-tls-name is for certificates: give --cluster-tls")
    const folder = clusterTls.value
    const file = (name: string) =>
      Effect.tryPromise({ try: () => readFile(within(folder, name), "utf8"), catch: () => name })
    return Effect.all({
      ca: file(certificates.ca),
      cert: file(certificates.cert),
      key: Effect.map(file(certificates.key), (text) => Redacted.make(text))
    }).pipe(
      Effect.map((read) => ({ ...read, name: Option.getOrUndefined(clusterTlsName) })),
      Effect.catch((name) => fail(`--cluster-tls takes a folder with ${name}, which cannot be read there`))
    )
  })

const ledgerOf = (): ClusterOptions.Options["sessionLedger"] => {
  const key = process.env[ledgerVariable]
  return key === undefined ? undefined : { key: Redacted.make(key) }
}

/** What the command line calls a setting, where it has a name of its own for it. */
const names = new Map([
  ["sessionLedger", ledgerVariable],
  ["tls", "--cluster-tls"],
  ["declareDead", "--cluster-declare-dead"],
  ["originStarts", "--cluster-origin-starts"],
  ...Object.entries(certificates).map(([part, file]) => [`tls.${part}`, `--cluster-tls: ${file}`] as const)
])

const nameOf = (setting: string): string => names.get(setting) ?? `--${setting}`

/** `undefined` where a package, or one that it needs, is not installed. */
const load = async () => {
  try {
    const [cluster, PgClient] = await Promise.all([
      import("@vmcp-keepalive/cluster"),
      import("@effect/sql-pg/PgClient")
    ])
    return { ...cluster, PgClient }
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return undefined
    throw error
  }
}

/** What keeps a gateway from joining: of the database without what it was asked and by whom. */
const told = (
  error: SqlError | SocketServerError | Fleet.FleetConfigurationError | BackendError.ConfigurationError
): Effect.Effect<never, Told> => {
  switch (error._tag) {
    case "SqlError":
      return fail(`the database of the cluster cannot be used: ${sentenceOf(error)}`)
    case "SocketServerError":
      return fail("--address: it is not possible to listen there")
    // its own options are looked at before: these are what the others have
    case "ConfigurationError":
      return fail(
        error.issues.map(({ expected, path }) => `${nameOf(path.join("."))} has to be ${expected}`).join("\n")
      )
    case "FleetConfigurationError":
      return fail(error.message)
  }
}

/** In words of our own: what a driver says may hold parts of the URL, and what a database says names of users. */
const sentenceOf = ({ reason }: SqlError): string => {
  const code = codeOf(reason.cause)
  switch (reason._tag) {
    case "ConnectionError":
      return `nothing answers as one there${code}`
    case "AuthenticationError":
      return `it refuses the user or the password${code}`
    case "AuthorizationError":
      return `its user lacks a right${code}`
    default:
      return `it refuses what is asked of it${code}`
  }
}

/** A code of the system, or one of SQL (SQLSTATE). */
const codeOf = (cause: unknown): string =>
  typeof cause === "object" &&
  cause !== null &&
  "code" in cause &&
  typeof cause.code === "string" &&
  /^[A-Z0-9_]{1,20}$/.test(cause.code)
    ? ` (${cause.code})`
    : ""
