/** `check`: everything that is wrong with a configuration file, in the words and with the exit code of a compiler. */
import { ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import { type BackendError, Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { plain } from "./style.ts"
import { fail, Told } from "./told.ts"
import * as Transports from "./transports.ts"

/** What is found in a file. */
interface Findings {
  readonly servers: number
  readonly enabled: number
  readonly mistakes: ReadonlyArray<ConfigFileError.Issue>
  readonly warnings: ReadonlyArray<ConfigFileError.Issue>
}

export interface Options {
  readonly config: string
  /** findings on stdout as one JSON object, for machines */
  readonly json: boolean
}

/** Tells the findings; fails where there are mistakes. */
export const check = Effect.fn(function* ({ config, json }: Options) {
  const { enabled, mistakes, servers, warnings } = yield* inspect(config)
  if (json) {
    yield* Console.log(
      JSON.stringify({ file: config, ok: mistakes.length === 0, servers, enabled, mistakes, warnings })
    )
    if (mistakes.length > 0) return yield* new Told()
    return
  }
  for (const warning of warnings) yield* Console.error(`${lineOf(config, warning)} (warning: ignored)`)
  if (mistakes.length > 0) return yield* fail(mistakes.map((issue) => lineOf(config, issue)).join("\n"))
  yield* Console.log(`${config}: ${summary(servers, enabled)}`)
})

/** A finding on one line, which a terminal only shows: names of a file may be anything. */
export const lineOf = (file: string, issue: ConfigFileError.Issue): string => plain(ConfigFileError.format(file, issue))

const summary = (servers: number, enabled: number): string => {
  const off = servers - enabled
  return `${servers} ${servers === 1 ? "server" : "servers"}${off === 0 ? "" : `, ${off} of them not enabled`}`
}

/** What the file says is read as `serve` reads it, and given to a fleet that starts nothing. */
const inspect = Effect.fn(function* (path: string) {
  const loaded = yield* Effect.result(KeepaliveConfig.load(path))
  if (Result.isFailure(loaded)) {
    const findings: Findings = { servers: 0, enabled: 0, mistakes: loaded.failure.issues, warnings: [] }
    return findings
  }
  const { specs, warnings } = loaded.success
  const transports = yield* Transports.make
  const enabled = specs.filter((spec) => spec.enabled)
  const missing = transports.missing(enabled.map(({ settings }) => settings.kind))
  const refused =
    missing.length > 0
      ? missing.map((expected) => ({ path: [], expected }))
      : yield* refusals(enabled).pipe(Effect.provide(transports.layer), Effect.scoped)
  const findings: Findings = { servers: specs.length, enabled: enabled.length, mistakes: refused, warnings }
  return findings
})

/** What a fleet says of specs whose backends wait to be asked, and never are. */
const refusals = Effect.fnUntraced(function* (specs: ReadonlyArray<Fleet.Spec>) {
  const fleet = yield* Fleet.make<Peer.Peer>()
  const lazy = specs.map((spec) => ({ ...spec, policy: { ...spec.policy, connect: "lazy" as const } }))
  const applied = yield* Effect.result(fleet.apply(lazy))
  return Result.isSuccess(applied) ? [] : issuesOf(applied.failure)
})

/** A fleet's mistakes in the words of files; in which line they stand it does not know. */
export const issuesOf = ({ errors }: Fleet.FleetConfigurationError): ReadonlyArray<ConfigFileError.Issue> =>
  errors.flatMap(({ backend, issues }: BackendError.ConfigurationError) =>
    issues.map(({ expected, path }) => ({
      path: [backend, ...path.map(String).filter((key) => key !== "connector")],
      expected
    }))
  )
