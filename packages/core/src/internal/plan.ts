/**
 * What a list of specs changes in a fleet: found out before anything is changed, with everything that is wrong in it.
 */
import * as Effect from "effect/Effect"
import * as Equal from "effect/Equal"
import * as MutableHashMap from "effect/MutableHashMap"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import * as Backend from "../Backend.ts"
import { ConfigurationError } from "../BackendError.ts"
import type { Connector } from "../Connector.ts"
import type { Spec } from "../Fleet.ts"
import type * as KeepalivePolicy from "../KeepalivePolicy.ts"
import { FleetConfigurationError } from "./fleetErrors.ts"
import type { Transport } from "./transports.ts"

/** What matters of a member. */
export interface Member {
  /** what of its spec is compared; `undefined` where code has added it */
  readonly spec: Words | undefined
}

/** What a spec says of a backend. */
export interface Words {
  readonly settings: Spec["settings"]
  /** the same object for all that say the same, since it is what most of a fleet have in common */
  readonly policy: KeepalivePolicy.Options
}

/** A backend that is made, or made anew. */
export interface Step<Client> {
  readonly id: string
  readonly spec: Words
  readonly connector: Connector<Client>
  /** what of it changed; `undefined` where it is new */
  readonly what: ReadonlyArray<"connection" | "policy"> | undefined
}

/** What is to be done. */
export interface Plan<Client> {
  /** ids of those that are listed no longer */
  readonly removed: ReadonlyArray<string>
  /** in the order of the specs */
  readonly steps: ReadonlyArray<Step<Client>>
  readonly errors: ReadonlyArray<ConfigurationError>
}

/** See the module. What is wrong within a connector or a policy is not looked for. */
export const make = <Client>(
  specs: ReadonlyArray<Spec>,
  members: ReadonlyMap<string, Member>,
  transports: ReadonlyMap<string, Transport<Client>>
): Plan<Client> => {
  const wanted = new Set<string>()
  const policies = MutableHashMap.empty<KeepalivePolicy.Options, KeepalivePolicy.Options>()
  const wordsOf = ({ policy = noPolicy, settings }: Spec): Words => {
    const known = Option.getOrUndefined(MutableHashMap.get(policies, policy))
    if (known === undefined) MutableHashMap.set(policies, policy, policy)
    return { settings, policy: known ?? policy }
  }
  const steps: Array<Step<Client>> = []
  const errors: Array<ConfigurationError> = []
  const wrong = (id: string, path: ReadonlyArray<string>, expected: string) =>
    errors.push(new ConfigurationError({ backend: id, issues: [{ path, expected }] }))
  for (const spec of specs) {
    const { id } = spec
    if (spec.enabled === false) continue
    if (wanted.has(id)) wrong(id, ["id"], "an id that no other spec has")
    wanted.add(id)
    const member = members.get(id)
    if (member !== undefined && member.spec === undefined) {
      wrong(id, ["id"], "an id other than those of backends that were added by code")
      continue
    }
    const what = member?.spec && changesOf(member.spec, spec)
    if (what?.length === 0) continue
    const transport = transports.get(spec.settings.kind)
    const connector = transport?.(spec.settings)
    if (connector !== undefined) steps.push({ id, spec: wordsOf(spec), connector, what })
    else if (transport !== undefined) wrong(id, ["settings"], "what the transport of its kind expects")
    else wrong(id, ["settings", "kind"], expectedKind([...transports.keys()]))
  }
  const removed = [...members].flatMap(([id, { spec }]) => (spec === undefined || wanted.has(id) ? [] : [id]))
  return { removed, steps, errors }
}

/** Fails with everything that is wrong in a plan, and within the connectors and policies of its steps. */
export const checked = <Client>({ errors, steps }: Plan<Client>): Effect.Effect<void, FleetConfigurationError> =>
  Effect.gen(function* () {
    const all = [...errors]
    for (const { connector, id, spec } of steps) {
      const one = yield* Effect.result(Backend.check({ id, connector, policy: spec.policy }))
      if (Result.isFailure(one)) all.push(one.failure)
    }
    if (all.length > 0) return yield* new FleetConfigurationError({ errors: all })
  })

/** Compared by content, also where it is redacted: in JSON a token that was rotated looks as before. */
const changesOf = (before: Words, after: Spec): ReadonlyArray<"connection" | "policy"> => [
  ...(Equal.equals(before.settings, after.settings) ? [] : ["connection" as const]),
  ...(Equal.equals(before.policy, after.policy ?? noPolicy) ? [] : ["policy" as const])
]

const noPolicy: KeepalivePolicy.Options = {}

const expectedKind = (kinds: ReadonlyArray<string>): string => {
  const known = kinds.length === 0 ? "none was provided" : `provided: ${kinds.join(", ")}`
  return `a kind for which a transport was provided (${known}); @vmcp-keepalive/transport-http and @vmcp-keepalive/transport-stdio have those of http and stdio`
}
