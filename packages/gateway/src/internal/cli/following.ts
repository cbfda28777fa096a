/** The fleet and the gateway are kept as the file says, now and whenever it changes; what comes of it is logged. */
import { type BackendSpec, ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import type { Fleet } from "@vmcp-keepalive/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import type { Shape, View } from "../../Gateway.ts"
import { issuesOf, lineOf } from "./check.ts"
import { plain } from "./style.ts"
import { fail, type Told } from "./told.ts"

export interface Options {
  readonly config: string
  readonly fleet: Pick<Fleet.Fleet<unknown>, "apply">
  /** Fails where the fleet would refuse specs in place of those that it has, and changes nothing. */
  readonly plan: (specs: Specs, before: Specs) => Effect.Effect<unknown, Fleet.FleetConfigurationError>
  readonly show: Shape["show"]
}

type Specs = ReadonlyArray<BackendSpec.BackendSpec>

/**
 * Succeeds when the fleet is as the file says, and goes on until the scope closes. Fails, with a line for each mistake, where what the file says first
 * cannot be used; what it says later then changes nothing, and is told once.
 */
export const start = Effect.fn(function* ({ config, fleet, plan, show }: Options) {
  const first = yield* Deferred.make<void, Told>()
  let taken: Specs = []
  let reshown: ReadonlyArray<string> = []
  const taking: KeepaliveConfig.Taking = {
    apply: (specs) =>
      Effect.gen(function* () {
        const before = viewsOf(taken)
        const now = viewsOf(specs)
        // hosts see nothing of what is refused, however often it is tried again
        yield* plan(specs, taken)
        // a tool that is to be hidden is hidden before its server is there, and as long as it is
        yield* show(new Map([...before, ...now]))
        const changes = yield* Effect.tapError(fleet.apply(specs), () => show(before))
        yield* show(now)
        reshown = specs.flatMap((spec) =>
          spec.enabled && isOther(before.get(spec.id), now.get(spec.id)) ? [spec.id] : []
        )
        taken = specs
        return changes
      })
  }
  let isTaken = false
  yield* KeepaliveConfig.follow(config, taking).pipe(
    Stream.runForEach((outcome) => {
      if (Result.isSuccess(outcome)) {
        const { changes, warnings } = outcome.success
        const told = Effect.all([
          ...warnings.map((warning) => Effect.logWarning(`${lineOf(config, warning)} (ignored)`)),
          ...(isTaken ? [Effect.logInfo(`${plain(config)}: ${sentence(changes, reshown)}`)] : [])
        ])
        isTaken = true
        return Effect.andThen(told, Deferred.succeed(first, undefined))
      }
      const lines = linesOf(config, outcome.failure)
      if (!isTaken) return Deferred.complete(first, fail(lines.join("\n")))
      // each on its own: a line of the log is one line
      const told = [...lines, `${plain(config)} cannot be used: what it said before goes on`]
      return Effect.forEach(told, (line) => Effect.logError(line), { discard: true })
    }),
    Effect.forkScoped
  )
  return yield* Deferred.await(first)
})

/** What the file says of how each is shown, in its order. */
export const viewsOf = (specs: Specs): ReadonlyMap<string, View> =>
  new Map(specs.map(({ id, session, tools }) => [id, { session, tools }]))

const isOther = (before: View | undefined, now: View | undefined): boolean =>
  before !== undefined && !Equal.equals(before, now)

const linesOf = (
  config: string,
  error: ConfigFileError.ConfigFileError | Fleet.FleetConfigurationError
): ReadonlyArray<string> =>
  (error._tag === "ConfigFileError" ? error.issues : issuesOf(error)).map((issue) => lineOf(config, issue))

const words = { Added: "added", Removed: "removed", Replaced: "changed" } as const

/** `added github, search; removed browser`. What is shown in another way has changed, too. */
const sentence = (changes: ReadonlyArray<Fleet.Change>, reshown: ReadonlyArray<string>): string => {
  const parts = (["Added", "Removed", "Replaced"] as const).flatMap((tag) => {
    const ids = new Set(changes.filter(({ _tag }) => _tag === tag).map(({ id }) => id))
    if (tag === "Replaced") for (const id of reshown) ids.add(id)
    return ids.size === 0 ? [] : [`${words[tag]} ${Array.from(ids, plain).join(", ")}`]
  })
  return parts.length === 0 ? "changes nothing" : parts.join("; ")
}
