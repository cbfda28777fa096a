/**
 * Options of which nobody has checked a type: from JavaScript, or put together from what was read.
 */
import * as Duration from "effect/Duration"
import * as Schedule from "effect/Schedule"
import type { Unchecked } from "./issues.ts"

/** An object made of fields alone. */
export const isPlain = (value: unknown): value is Unchecked =>
  Object.prototype.toString.call(value) === "[object Object]" &&
  !Schedule.isSchedule(value) &&
  !Duration.isDuration(value)

/** A duration as an object of its parts. */
export const isParts = (value: Unchecked): boolean => Object.keys(value).some((key) => units.has(key))

export const isSchedule = (value: unknown): value is Schedule.Schedule<unknown> => Schedule.isSchedule(value)

const units: ReadonlySet<string> = new Set<keyof Duration.DurationObject>([
  "weeks",
  "days",
  "hours",
  "minutes",
  "seconds",
  "milliseconds",
  "microseconds",
  "nanoseconds"
])

/** Stricter than Effect, which reads NaN, an empty object and an unknown unit as zero. */
export const isDurationInput = (value: unknown): value is Duration.Input => {
  if (Array.isArray(value)) return value.length === 2 && Number.isFinite(value[0]) && Number.isFinite(value[1])
  if (isPlain(value)) {
    const parts = Object.entries(value).filter(([, part]) => part !== undefined)
    return parts.length > 0 && parts.every(([unit, part]) => units.has(unit) && Number.isFinite(part))
  }
  if (Duration.isDuration(value) || typeof value === "bigint" || typeof value === "string") return true
  return typeof value === "number" && !Number.isNaN(value)
}

/** Options of which nobody has checked a type, as the Schemas want them: a Map, a Date or a function is no object of fields. */
export const prepared = (options: Unchecked): Unchecked =>
  mapped(options, (value, key) => {
    if (key === "probe") return preparedProbe(value)
    if (key === "circuit" && isPlain(value)) {
      return mapped(value, (inner, name) => (name === "openFor" ? preparedOpenFor(inner) : inner))
    }
    return unlessForeign(value)
  })

const mapped = (object: Unchecked, change: (value: unknown, key: string) => unknown): Unchecked =>
  Object.fromEntries(Object.entries(object).map(([key, value]) => [key, change(value, key)]))

/** `null` is nowhere allowed. */
const unlessForeign = (value: unknown): unknown =>
  typeof value === "object" &&
  !isPlain(value) &&
  !isSchedule(value) &&
  !Duration.isDuration(value) &&
  !Array.isArray(value)
    ? null
    : value

const preparedOpenFor = (value: unknown): unknown =>
  isPlain(value) && !isParts(value) && Object.keys(value).length > 0 && !shape.some((key) => key in value)
    ? null
    : unlessForeign(value)

const shape = ["initial", "factor", "cap"]

/** A tool that is wrong, or missing, is one without a name. */
const preparedProbe = (value: unknown): unknown => {
  if (value === "tool") return { method: "tool", tool: {} }
  if (!isPlain(value) || (value["method"] !== "tool" && value["method"] !== "ping")) {
    return isPlain(value) ? null : unlessForeign(value)
  }
  const tool = isPlain(value["tool"]) ? value["tool"] : {}
  const { arguments: given, ...rest } = tool
  const isForeign = given !== undefined && !isPlain(given)
  return { ...value, tool: given === undefined ? rest : { ...rest, arguments: isForeign ? null : given } }
}
