/**
 * How a backend is kept alive, as a file says it: `keepalive` of the file, of the server laid over it, and the two keys of a server that
 * say the same in the seeds' words.
 */
import { KeepalivePolicy } from "@vmcp-keepalive/core"
import * as Duration from "effect/Duration"
import { checker, isObject } from "./check.ts"
import { intervalBounds } from "./entry.ts"
import type { Findings, Place } from "./findings.ts"

/** Options, and for each where in the file it stands. */
export interface Written {
  readonly options: KeepalivePolicy.Options
  readonly placeOf: (setting: string) => Place | undefined
}

export const nothing: Written = { options: {}, placeOf: () => undefined }

const expectedInterval = `a duration of ${intervalBounds.minimum} to ${intervalBounds.maximum} seconds, such as "30 seconds"`

const check = checker(KeepalivePolicy.FileOptions, { interval: expectedInterval })

/** What a `keepalive` object says. */
export const ofObject = (value: unknown, place: Place, findings: Findings): Written => {
  if (value === undefined) return nothing
  if (!isObject(value)) {
    findings.mistake(place, "an object of settings, such as interval")
    return nothing
  }
  const { interval, ...others } = check(value, place, findings)
  const isWithin =
    interval === undefined ||
    Duration.between(interval, {
      minimum: Duration.seconds(intervalBounds.minimum),
      maximum: Duration.seconds(intervalBounds.maximum)
    })
  if (!isWithin) findings.mistake([...place, "interval"], expectedInterval)
  const options = isWithin && interval !== undefined ? { ...others, interval } : others
  return { options, placeOf: (setting) => (Object.hasOwn(value, setting) ? [...place, setting] : undefined) }
}

/** What `keepalive_interval` and `keepalive_method` of a server say. */
export const ofKeys = (
  entry: { readonly keepalive_interval?: number; readonly keepalive_method?: string },
  place: Place
): Written => {
  const { keepalive_interval: interval, keepalive_method: method } = entry
  const options: KeepalivePolicy.Options = {
    ...(interval === undefined ? {} : { interval: Duration.seconds(interval) }),
    ...(method === undefined ? {} : { probe: probeOf(method) })
  }
  const keys: Readonly<Record<string, string>> = { interval: "keepalive_interval", probe: "keepalive_method" }
  return {
    options,
    placeOf: (setting) => (Object.hasOwn(options, setting) ? [...place, keys[setting] ?? setting] : undefined)
  }
}

const words = ["auto", "ping", "list-tools", "discover", "options", "none"] as const

const probeOf = (method: string): KeepalivePolicy.ProbeMethod =>
  words.find((word) => word === method) ?? { method: "tool", tool: { name: method.replace(/^tool:/, "") } }

/** One laid over the other. */
export const overlay = (under: Written, over: Written): Written =>
  over === nothing || Object.keys(over.options).length === 0
    ? under
    : {
        options: KeepalivePolicy.overlay(under.options, over.options),
        placeOf: (setting) => over.placeOf(setting) ?? under.placeOf(setting)
      }

/** What the core knows of a transport before a connector is made. */
const transports = {
  http: { connectTimeout: "30 seconds", supportsOptions: true },
  stdio: { connectTimeout: "120 seconds", supportsOptions: false }
} as const

/** What must hold between settings, wherever they stand. */
export const checkWhole = (
  { options, placeOf }: Written,
  kind: keyof typeof transports,
  place: Place,
  findings: Findings
): void => {
  for (const { expected, path } of KeepalivePolicy.resolve(options, transports[kind]).issues) {
    const [, setting = "", ...deeper] = path
    findings.mistake([...(placeOf(setting) ?? place), ...deeper], expected)
  }
}
