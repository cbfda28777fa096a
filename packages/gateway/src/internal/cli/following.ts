/** The fleet and the gateway are kept as the file says, now and whenever it changes; what comes of it is logged. */
import { type BackendSpec, ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import type { Fleet } from "@vmcp-keepalive/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Shape, View } from "../../Gateway.ts"
import { issuesOf, lineOf } from "./check.ts"
import { plain } from "./style.ts"
import { fail, type Told } from "./told.ts"

export interface Options {
  readonly config: string
  readonly fleet: Pick<Fleet.Fleet<unknown>, "apply">
  readonly show: Shape["show"]
}

/**
 * Succeeds when the fleet is as the file says, and goes on until the scope closes. Fails, with a line for each mistake, where what the file says first
 * cannot be used; what it says later then changes nothing, and is told once.
 */
export const start = Effect.fn(function* ({ config, fleet, show }: Options) {
  const first = yield* Deferred.make<void, Told>()
  let shown: ReadonlyMap<string, View> = new Map()
  const taking: KeepaliveConfig.Taking = {
    // a tool that is to be hidden is hidden before its server is there
    apply: (specs) => {
      const views = viewsOf(specs)
      return show(views).pipe(
        Effect.andThen(fleet.apply(specs)),
        Effect.tap(() => Effect.sync(() => (shown = views))),
        Effect.tapError(() => show(shown))
      )
    }
  }
  let isTaken = false
  yield* KeepaliveConfig.follow(config, taking).pipe(
    Stream.runForEach((outcome) => {
      if (Result.isSuccess(outcome)) {
        const { changes, warnings } = outcome.success
        const told = Effect.all([
          ...warnings.map((warning) => Effect.logWarning(`${lineOf(config, warning)} (ignored)`)),
          ...(isTaken ? [Effect.logInfo(`${plain(config)}: ${sentence(changes)}`)] : [])
        ])
        isTaken = true
        return Effect.andThen(told, Deferred.succeed(first, undefined))
      }
      const lines = linesOf(config, outcome.failure)
      if (!isTaken) return Deferred.complete(first, fail(lines.join("\n")))
      return Effect.logError([...lines, `${plain(config)} cannot be used: what it said before goes on`].join("\n"))
    }),
    Effect.forkScoped
  )
  return yield* Deferred.await(first)
})

/** What the file says of how each is shown, in its order. */
export const viewsOf = (specs: ReadonlyArray<BackendSpec.BackendSpec>): ReadonlyMap<string, View> =>
  new Map(specs.map(({ id, session, tools }) => [id, { session, tools }]))

const linesOf = (
  config: string,
  error: ConfigFileError.ConfigFileError | Fleet.FleetConfigurationError
): ReadonlyArray<string> =>
  (error._tag === "ConfigFileError" ? error.issues : issuesOf(error)).map((issue) => lineOf(config, issue))

const words = { Added: "added", Removed: "removed", Replaced: "changed" } as const

/** `added github, search; removed browser`. */
const sentence = (changes: ReadonlyArray<Fleet.Change>): string => {
  const parts = (["Added", "Removed", "Replaced"] as const).flatMap((tag) => {
    const ids = changes.filter(({ _tag }) => _tag === tag).map(({ id }) => plain(id))
    return ids.length === 0 ? [] : [`${words[tag]} ${ids.join(", ")}`]
  })
  return parts.length === 0 ? "changes nothing" : parts.join("; ")
}
