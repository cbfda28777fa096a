/**
 * A call and its answer as JSON: as the schemas of `protocol.ts` have them, in a fraction of their time. Both are made of texts, numbers and booleans; what is
 * undefined is null.
 */
import * as Predicate from "effect/Predicate"
import type { Request } from "../owner/perform.ts"
import type { Answer } from "../protocol.ts"

/** What a call is made with. */
export const encode = ({ caller, idempotent, kind, label, method, params, pin }: Request): object => ({
  kind,
  method,
  params: params ?? null,
  idempotent,
  caller,
  label,
  pin: pin ?? null
})

/** The same, read; `undefined` where it is none. */
export const decode = (json: unknown): Request | undefined => {
  if (!Predicate.isObject(json)) return undefined
  const { caller, idempotent, kind, label, method, params, pin }: Readonly<Record<string, unknown>> = json
  if (kind !== "request" && kind !== "notification") return undefined
  if (!Predicate.isString(method) || !Predicate.isString(caller)) return undefined
  if (!Predicate.isNumber(label) || !Predicate.isBoolean(idempotent)) return undefined
  if (params !== null && !Predicate.isString(params)) return undefined
  if (pin !== null && !isPin(pin)) return undefined
  return { kind, method, params: params ?? undefined, idempotent, caller, label, pin: pin ?? undefined }
}

const isPin = (json: unknown): json is NonNullable<Request["pin"]> =>
  Predicate.hasProperty(json, "id") &&
  Predicate.hasProperty(json, "generation") &&
  Predicate.isString(json.id) &&
  Predicate.isNumber(json.generation)

/** Whether it is what a call is answered with. */
export const isAnswer = (json: unknown): json is Answer =>
  Predicate.isTagged(json, "Answer") &&
  Predicate.hasProperty(json, "isError") &&
  Predicate.hasProperty(json, "json") &&
  Predicate.hasProperty(json, "told") &&
  Predicate.isBoolean(json.isError) &&
  Predicate.isString(json.json) &&
  Predicate.isNumber(json.told)
