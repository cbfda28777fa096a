/**
 * Keys that are not known here: which of them is a mistake, which only worth a word, and which nothing at all.
 */
import type { Unchecked } from "./check.ts"
import type { Findings, Place } from "./findings.ts"

/** Of a file, what other programs read: accepted, untouched, without a word. */
const foreignOfFiles: ReadonlySet<string> = new Set([
  "inputs",
  "globalShortcut",
  "mcp",
  "sandbox",
  "preferences",
  "theme",
  "security",
  "general",
  "projects"
])

/** Of a server, the same. */
const foreignOfServers: ReadonlySet<string> = new Set([
  "alwaysAllow",
  "alwaysLoad",
  "auth",
  "authProviderType",
  "autoApprove",
  "autoStart",
  "caBundlePath",
  "created",
  "description",
  "dev",
  "gallery",
  "headersHelper",
  "icon",
  "id",
  "initTimeout",
  "longRunning",
  "metadata",
  "networkTimeout",
  "oauth",
  "oauth_resource",
  "quarantined",
  "registry",
  "remote",
  "required",
  "sandbox",
  "sandboxEnabled",
  "scopes",
  "settings",
  "source",
  "startup_timeout_ms",
  "startup_timeout_sec",
  "supports_parallel_tool_calls",
  "targetAudience",
  "targetServiceAccount",
  "timeout",
  "title",
  "tool_timeout_sec",
  "tools",
  "trust",
  "updated",
  "version",
  "watchPaths"
])

/** The words of one level of a file: our own, and those of others. */
export interface Vocabulary {
  readonly own: ReadonlyArray<string>
  readonly foreign: ReadonlySet<string>
}

export const ofFile = (own: ReadonlyArray<string>): Vocabulary => ({ own, foreign: foreignOfFiles })
export const ofServer = (own: ReadonlyArray<string>): Vocabulary => ({ own, foreign: foreignOfServers })

/** The part of the object that is ours. A key that was meant to be ours is a mistake, one that nobody knows a warning. */
export const known = (object: Unchecked, { foreign, own }: Vocabulary, place: Place, findings: Findings): Unchecked => {
  const ours: Array<[string, unknown]> = []
  for (const [key, value] of Object.entries(object)) {
    if (own.includes(key)) ours.push([key, value])
    else if (!foreign.has(key)) {
      const meant = own.find((each) => isNear(each, key))
      const here = [...place, key]
      if (meant !== undefined) findings.mistake(here, `no such setting; ${meant} was meant, perhaps`)
      else if (/^keep[-_]?alive/i.test(key)) {
        const those = own.filter((each) => each.startsWith("keepalive"))
        findings.mistake(here, `no such setting; known are ${those.join(", ")}`)
      } else findings.warning(here, "a key that is known here; this one is ignored")
    }
  }
  return Object.fromEntries(ours)
}

/** One edit or one swap away; case and separators aside. */
export const isNear = (one: string, other: string): boolean => {
  const a = plain(one)
  const b = plain(other)
  if (a === b) return true
  const longer = Math.max(a.length, b.length)
  if (Math.abs(a.length - b.length) > 1 || longer < 3) return false
  let start = 0
  while (start < longer && a[start] === b[start]) start += 1
  let end = 0
  while (end < Math.min(a.length, b.length) - start && a.at(-1 - end) === b.at(-1 - end)) end += 1
  const differing = longer - start - end
  const isSwap = a.length === b.length && differing === 2 && a[start] === b[start + 1] && a[start + 1] === b[start]
  return differing <= 1 || isSwap
}

const plain = (key: string) => key.toLowerCase().replaceAll(/[-_]/g, "")
