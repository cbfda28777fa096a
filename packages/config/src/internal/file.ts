/**
 * A whole file: which servers it lists, and what holds for all of them. Pure: what it needs from outside is known before.
 */
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import type { BackendSpec } from "../BackendSpec.ts"
import { isObject, type Unchecked } from "./check.ts"
import type { Document } from "./document.ts"
import type { Surroundings } from "./expand.ts"
import type { Findings, Place } from "./findings.ts"
import * as Keys from "./keys.ts"
import * as Policy from "./policy.ts"
import * as Server from "./server.ts"

/** The words under which hosts list their servers. */
export const roots = ["mcpServers", "servers", "context_servers", "mcp_servers"] as const

/** One process keeps no more: that is the size which is supported. */
export const maxServers = 10_000

/** In what a file of another program differs from ours. */
export interface Dialect {
  /** numbers of that program, under what the file says */
  readonly under?: KeepalivePolicy.Options | undefined
  readonly silentWithout?: Server.Context["silentWithout"]
}

const vocabulary = Keys.ofFile(["$schema", "keepalive", ...roots])

export const decode = (
  { value }: Document,
  surroundings: Surroundings,
  findings: Findings,
  { silentWithout, under = {} }: Dialect = {}
): ReadonlyArray<BackendSpec> => {
  if (!isObject(value)) {
    findings.mistake([], "an object with mcpServers")
    return []
  }
  const file = Keys.known(value, vocabulary, [], findings)
  const policy = Policy.overlay(
    { options: under, placeOf: () => undefined },
    Policy.ofObject(file["keepalive"], ["keepalive"], findings)
  )
  const context = { surroundings, findings, policy, silentWithout, isAllowed: allowedBy(value["mcp"]) }
  return listed(file, value, findings).flatMap(({ id, place, raw }) => {
    const spec = Server.specOf(id, raw, place, context)
    return spec === undefined ? [] : [spec]
  })
}

interface Listed {
  readonly id: string | undefined
  readonly raw: unknown
  readonly place: Place
}

const listed = (file: Unchecked, value: Unchecked, findings: Findings): ReadonlyArray<Listed> => {
  const [root, ...others] = roots.filter((key) => Object.hasOwn(file, key))
  for (const other of others) findings.mistake([other], `${root} alone: one list of servers`)
  if (root === undefined) {
    const isTold = Object.keys(value).some((key) => roots.some((each) => Keys.isNear(each, key)))
    if (!isTold) findings.mistake([], `an object with mcpServers (or ${roots.slice(1).join(", ")})`)
    return []
  }
  const servers = file[root]
  const all = Array.isArray(servers) ? fromList(servers, root, findings) : fromMap(servers, root, findings)
  if (all.length > maxServers) findings.mistake([root], `at most ${maxServers} servers`)
  return unique(all.slice(0, maxServers), findings)
}

const fromMap = (servers: unknown, root: string, findings: Findings): ReadonlyArray<Listed> => {
  if (!isObject(servers)) {
    findings.mistake([root], "an object of servers by name, or a list of servers with names")
    return []
  }
  return Object.entries(servers).map(([id, raw]) => ({ id, raw, place: [root, id] }))
}

const fromList = (servers: ReadonlyArray<unknown>, root: string, findings: Findings): ReadonlyArray<Listed> =>
  servers.map((raw, index) => {
    const place = [root, index]
    const name = isObject(raw) ? raw["name"] : undefined
    if (isObject(raw) && name === undefined) findings.mistake(place, "a name, since the servers are a list")
    return { id: typeof name === "string" ? name : undefined, raw, place }
  })

const unique = (servers: ReadonlyArray<Listed>, findings: Findings): ReadonlyArray<Listed> => {
  const seen = new Set<string>()
  return servers.map(({ id, place, raw }) => {
    const isListed = typeof place[1] === "number"
    const at = isListed ? [...place, "name"] : place
    if (id === undefined) return { id, place, raw }
    if (seen.has(id)) findings.mistake(at, "each name once")
    else if (!isName(id))
      findings.mistake(at, "a name of 1 to 128 characters, without control characters or space around it")
    seen.add(id)
    return { id, place, raw }
  })
}

/** It becomes part of metrics, logs and tool names. */
const isName = (id: string): boolean => id.length <= 128 && id.trim() === id && /^[^\p{Cc}\p{Zl}\p{Zp}]+$/u.test(id)

/** Gemini lists in `mcp` which of its servers it uses. */
const allowedBy = (mcp: unknown): Server.Context["isAllowed"] => {
  const { allowed, excluded } = isObject(mcp) ? mcp : {}
  return (id) =>
    !(Array.isArray(allowed) && !allowed.includes(id)) && !(Array.isArray(excluded) && excluded.includes(id))
}
