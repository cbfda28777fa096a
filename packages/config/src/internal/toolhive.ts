/**
 * toolhive's virtual MCP server (`pkg/vmcp/config`): durations as Go writes them, backends as a list, health checks for all of them.
 */
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import type { BackendSpec } from "../BackendSpec.ts"
import { isObject, type Unchecked } from "./check.ts"
import type { Document } from "./document.ts"
import type { Surroundings } from "./expand.ts"
import { maxServers } from "./file.ts"
import type { Findings, Place } from "./findings.ts"
import type { Written } from "./policy.ts"
import * as Server from "./server.ts"

export const decode = (
  { value }: Document,
  surroundings: Surroundings,
  findings: Findings
): ReadonlyArray<BackendSpec> => {
  const [config, place] = configOf(value)
  const { backends } = config
  if (!Array.isArray(backends)) {
    // without them, toolhive asks Kubernetes or its own daemon
    findings.mistake(
      [...place, "backends"],
      "a list of backends with name and url; discovered ones cannot be known here"
    )
    return []
  }
  const reader = new Reader(findings)
  const policy = policyOf(config["operational"], [...place, "operational"], reader)
  const auth = authOf(config["outgoingAuth"], [...place, "outgoingAuth"], reader)
  const tools = toolsOf(config["aggregation"])
  const context: Server.Context = { surroundings, findings, policy, isAllowed: () => true }
  if (backends.length > maxServers) findings.mistake([...place, "backends"], `at most ${maxServers} servers`)
  const seen = new Set<string>()
  return backends.slice(0, maxServers).flatMap((raw: unknown, index) => {
    const here = [...place, "backends", index]
    const backend = reader.object(raw, here, "an object with name and url")
    const name = reader.text(backend["name"], [...here, "name"], "a name")
    if (name !== undefined && seen.has(name)) findings.mistake([...here, "name"], "each name once")
    seen.add(name ?? "")
    const spec = Server.specOf(name, { ...entryOf(backend), ...auth(name ?? "", surroundings) }, here, context)
    const include = tools.get(name ?? "")
    return spec === undefined
      ? []
      : [include === undefined ? spec : { ...spec, tools: { include, exclude: undefined } }]
  })
}

/** The file itself, or what a resource of Kubernetes holds of it. */
const configOf = (value: unknown): readonly [Unchecked, Place] => {
  if (!isObject(value)) return [{}, []]
  const { spec } = value
  if (!isObject(spec)) return [value, []]
  return isObject(spec["config"]) ? [spec["config"], ["spec", "config"]] : [spec, ["spec"]]
}

/** `type` is toolhive's word for where a backend comes from. */
const entryOf = ({ name, transport, url }: Unchecked): Unchecked =>
  Object.fromEntries(Object.entries({ name, url, transport }).filter(([, value]) => value !== undefined))

/** Reads values of which nothing is known; each that is wrong is told. */
class Reader {
  readonly findings: Findings

  constructor(findings: Findings) {
    this.findings = findings
  }

  #take<A>(value: unknown, place: Place, expected: string, is: (value: unknown) => value is A): A | undefined {
    if (value === undefined || is(value)) return value
    this.findings.mistake(place, expected)
    return undefined
  }

  object(value: unknown, place: Place, expected = "an object"): Unchecked {
    return this.#take(value, place, expected, isObject) ?? {}
  }

  text(value: unknown, place: Place, expected: string): string | undefined {
    return this.#take(value, place, expected, isFilled)
  }

  flag(value: unknown, place: Place): boolean | undefined {
    return this.#take(value, place, "true or false", (each) => typeof each === "boolean")
  }

  count(value: unknown, place: Place): number | undefined {
    return this.#take(value, place, "a whole number of at least 1", isCount)
  }

  duration(value: unknown, place: Place): Duration.Duration | undefined {
    const text = this.#take(value, place, goDuration, isFilled)
    if (text === undefined) return undefined
    const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)/g)]
    const millis = parts.reduce((sum, [, number, unit = ""]) => sum + Number(number) * (units[unit] ?? 0), 0)
    if (millis > 0 && parts.map(([part]) => part).join("") === text) return Duration.millis(millis)
    this.findings.mistake(place, goDuration)
    return undefined
  }
}

const isFilled = (value: unknown): value is string => typeof value === "string" && value !== ""
const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 1

const goDuration = "a duration above zero as Go writes it, such as 30s or 1m30s"
const units: Readonly<Record<string, number>> = { ns: 1e-6, us: 1e-3, µs: 1e-3, ms: 1, s: 1e3, m: 6e4, h: 36e5 }

// -------------------------------------------------------------------------------------------------------------- policy

const policyOf = (operational: unknown, place: Place, reader: Reader): Written => {
  const at = [...place, "failureHandling"]
  const failure = reader.object(reader.object(operational, place)["failureHandling"], at)
  const breaker = reader.object(failure["circuitBreaker"], [...at, "circuitBreaker"])
  const inBreaker = [...at, "circuitBreaker"]
  const timeout = reader.duration(failure["healthCheckTimeout"], [...at, "healthCheckTimeout"])
  const failures = reader.count(breaker["failureThreshold"], [...inBreaker, "failureThreshold"]) ?? 5
  const openFor = reader.duration(breaker["timeout"], [...inBreaker, "timeout"]) ?? Duration.seconds(60)
  const isBreaking = reader.flag(breaker["enabled"], [...inBreaker, "enabled"]) ?? false
  const mode = failure["partialFailureMode"]
  if (mode !== undefined && mode !== "fail" && mode !== "best_effort") {
    reader.findings.mistake([...at, "partialFailureMode"], "fail or best_effort")
  }
  const options: KeepalivePolicy.Options = {
    interval: reader.duration(failure["healthCheckInterval"], [...at, "healthCheckInterval"]) ?? Duration.seconds(30),
    failureThreshold: reader.count(failure["unhealthyThreshold"], [...at, "unhealthyThreshold"]) ?? 3,
    ...(timeout === undefined ? {} : { timeout }),
    ...(mode === "fail" ? { required: true } : {}),
    circuit: isBreaking ? { failures, openFor } : "none"
  }
  const places: Readonly<Record<string, Place>> = {
    interval: [...at, "healthCheckInterval"],
    timeout: [...at, "healthCheckTimeout"],
    circuit: inBreaker
  }
  return { options, placeOf: (setting) => places[setting] }
}

// --------------------------------------------------------------------------------------------------- headers and tools

/** A strategy for each backend, or one for all; those that put one header into requests are known here. */
const authOf = (outgoing: unknown, place: Place, reader: Reader) => {
  const { backends, default: common } = reader.object(outgoing, place)
  const own = reader.object(backends, [...place, "backends"])
  const read = (strategy: unknown, at: Place) => headerOf(strategy, at, reader)
  const headers = new Map(
    Object.entries(own).map(([name, strategy]) => [name, read(strategy, [...place, "backends", name])])
  )
  const fallback = read(common, [...place, "default"])
  return (name: string, { variable }: Surroundings): Unchecked => {
    const header = headers.has(name) ? headers.get(name) : fallback
    if (header === undefined) return {}
    const isSet = header.variable === undefined || variable(header.variable) !== undefined
    if (!isSet) reader.findings.mistake(header.place, `the variable ${header.variable} to be set in the environment`)
    return header.variable === undefined
      ? { headers: { [header.name]: header.value.replaceAll("${", () => "$${") } }
      : { env_http_headers: { [header.name]: header.variable } }
  }
}

interface Header {
  readonly name: string
  readonly value: string
  readonly variable: string | undefined
  readonly place: Place
}

const headerOf = (strategy: unknown, place: Place, reader: Reader): Header | undefined => {
  const { headerInjection, type } = reader.object(strategy, place)
  if (type === undefined || type === "unauthenticated") return undefined
  if (type !== "header_injection") {
    reader.findings.warning([...place, "type"], "header_injection or unauthenticated: others cannot be carried over")
    return undefined
  }
  const at = [...place, "headerInjection"]
  const given = reader.object(headerInjection, at)
  const name = reader.text(given["headerName"], [...at, "headerName"], "the name of a header")
  const variable = reader.text(given["headerValueEnv"], [...at, "headerValueEnv"], "the name of a variable")
  const value = reader.text(given["headerValue"], [...at, "headerValue"], "a value that HTTP allows in a header")
  if (name !== undefined && (variable ?? value) !== undefined) {
    return { name, value: value ?? "", variable, place: [...at, "headerValueEnv"] }
  }
  reader.findings.mistake(at, "headerName with headerValue or headerValueEnv")
  return undefined
}

/** The tools to which `aggregation` reduces a backend, where it does. */
const toolsOf = (aggregation: unknown): ReadonlyMap<string, ReadonlyArray<string>> => {
  const tools = isObject(aggregation) && Array.isArray(aggregation["tools"]) ? aggregation["tools"] : []
  return new Map(
    tools
      .filter(isObject)
      .flatMap(({ excludeAll, filter, workload }): ReadonlyArray<[string, ReadonlyArray<string>]> => {
        if (typeof workload !== "string") return []
        if (excludeAll === true) return [[workload, []]]
        return Array.isArray(filter) ? [[workload, filter.filter((each) => typeof each === "string")]] : []
      })
  )
}
