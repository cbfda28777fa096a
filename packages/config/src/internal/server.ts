/**
 * One entry of a file becomes one spec.
 */
import { KeepalivePolicy } from "@vmcp-keepalive/core"
import type { BackendSpec, Tools } from "../BackendSpec.ts"
import { checker, isObject } from "./check.ts"
import { Entry } from "./entry.ts"
import type { Surroundings } from "./expand.ts"
import type { Findings, Place } from "./findings.ts"
import * as Keys from "./keys.ts"
import * as Policy from "./policy.ts"
import * as Settings from "./settings.ts"

/** What holds for all servers of a file. */
export interface Context {
  readonly surroundings: Surroundings
  readonly findings: Findings
  readonly policy: Policy.Written
  /** a server without this key is not probed: so it is where only those with it are kept alive */
  readonly silentWithout?: "keepalive_interval" | "keepalive_method" | undefined
  /** whether the host that wrote the file would use a server of that name */
  readonly isAllowed: (id: string) => boolean
}

const check = checker(Entry)

const vocabulary = Keys.ofServer([...Object.keys(Entry.fields), "keepalive"])

/** The spec; `undefined`, with the mistakes told, where there is none. */
export const specOf = (
  id: string | undefined,
  raw: unknown,
  place: Place,
  context: Context
): BackendSpec | undefined => {
  const { findings } = context
  if (!isObject(raw)) {
    findings.mistake(place, "an object with url or command")
    return undefined
  }
  const { keepalive, ...rest } = Keys.known(raw, vocabulary, place, findings)
  const before = findings.count
  const entry = check(rest, place, findings)
  const isBroken = findings.count > before
  const isEnabled = enabledOf(entry, place, findings) && (id === undefined || context.isAllowed(id))
  // a field that is broken is told already: what its lack means is not
  const settings =
    isBroken && (entry.command ?? entry.url ?? entry.httpUrl ?? entry.serverUrl) === undefined
      ? undefined
      : Settings.of(entry, { surroundings: context.surroundings, findings, place, isEnabled })
  const policy = policyOf(keepalive, entry, rest, place, context)
  if (settings !== undefined) Policy.checkWhole(policy, settings.kind, place, findings)
  const tools = toolsOf(entry, place, findings)
  return id === undefined || settings === undefined
    ? undefined
    : { id, enabled: isEnabled, settings, policy: policy.options, tools, session: entry.session }
}

const enabledOf = ({ disabled, enabled }: Entry, place: Place, findings: Findings): boolean => {
  if (enabled !== undefined && enabled === disabled) {
    findings.mistake([...place, "disabled"], "the opposite of enabled, or nothing")
  }
  return enabled ?? !(disabled ?? false)
}

const policyOf = (
  keepalive: unknown,
  entry: Entry,
  raw: Readonly<Record<string, unknown>>,
  place: Place,
  { findings, policy, silentWithout }: Context
): Policy.Written => {
  const own = Policy.ofObject(keepalive, [...place, "keepalive"], findings)
  const keys = Policy.ofKeys(entry, place)
  for (const setting of ["interval", "probe"]) {
    const twice = keys.placeOf(setting)
    if (twice !== undefined && own.placeOf(setting) !== undefined) {
      findings.mistake(twice, `only one of ${String(twice.at(-1))} and keepalive.${setting}`)
    }
  }
  const whole = Policy.overlay(Policy.overlay(policy, own), keys)
  return silentWithout === undefined || Object.hasOwn(raw, silentWithout) || whole.placeOf("probe") !== undefined
    ? whole
    : { ...whole, options: KeepalivePolicy.overlay(whole.options, silent) }
}

const silent: KeepalivePolicy.Options = { probe: "none" }

const includes = ["includeTools", "enabled_tools"] as const
const excludes = ["excludeTools", "disabled_tools", "disabledTools"] as const

const toolsOf = (entry: Entry, place: Place, findings: Findings): Tools => {
  const one = (keys: ReadonlyArray<(typeof includes)[number] | (typeof excludes)[number]>) => {
    const [first, ...others] = keys.filter((key) => entry[key] !== undefined)
    for (const other of others) findings.mistake([...place, other], `only one of ${keys.join(", ")}`)
    return first === undefined ? undefined : entry[first]
  }
  const include = one(includes)
  const exclude = one(excludes)
  return include === undefined && exclude === undefined ? allTools : { include, exclude }
}

const allTools: Tools = { include: undefined, exclude: undefined }
