/**
 * Checks an object by a Schema and says everything that is wrong with it: a field that is wrong is told and left out, and the rest is
 * checked on.
 */
import * as Duration from "effect/Duration"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import * as SchemaIssue from "effect/SchemaIssue"
import type { Findings, Place } from "./findings.ts"

/** An object of which nothing is known. */
export type Unchecked = Readonly<Record<string, unknown>>

export const isObject = (value: unknown): value is Unchecked =>
  typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date)

/** The schema must accept an empty object. `narrower` are the words for fields of which files take less than it does. */
export const checker = <A>(schema: Schema.Codec<A, unknown>, narrower: Readonly<Record<string, string>> = {}) => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  return (input: Unchecked, place: Place, findings: Findings): A => {
    let rest = input
    while (true) {
      const result = decode(rest)
      const wrong = new Set<string>()
      const tell = (path: ReadonlyArray<PropertyKey>, expected: string) => {
        findings.mistake([...place, ...path.map(keyOf)], expected)
        wrong.add(String(path[0]))
      }
      if (Result.isSuccess(result)) {
        for (const path of unitless(rest, result.success, []))
          tell(path, 'a duration with its unit, such as "30 seconds"')
        if (wrong.size === 0) return result.success
      } else {
        for (const { message, path } of format(result.failure.issue).issues) {
          const at = (path ?? []).map((part) => (typeof part === "object" ? part.key : part))
          tell(at, narrower[at.map(String).join(".")] ?? expectedAt(schema.ast, at, message))
        }
      }
      const right = Object.entries(rest).filter(([key]) => !wrong.has(key))
      // Where a rule of the whole is broken no field alone is: then none is taken.
      rest = right.length < Object.keys(rest).length ? Object.fromEntries(right) : {}
    }
  }
}

const format = SchemaIssue.makeFormatterStandardSchemaV1()

const keyOf = (key: PropertyKey): string | number => (typeof key === "number" ? key : String(key))

/** Bare numbers that became durations: in one file `30` would mean seconds here and milliseconds there. */
const unitless = (
  raw: unknown,
  decoded: unknown,
  path: ReadonlyArray<string>
): ReadonlyArray<ReadonlyArray<string>> => {
  if (typeof raw === "number") return Duration.isDuration(decoded) ? [path] : []
  if (!isObject(raw) || !isObject(decoded)) return []
  return Object.keys(raw).flatMap((key) => unitless(raw[key], decoded[key], [...path, key]))
}

// ---------------------------------------------------------------------------------------------------- what was expected

/** In the words of the schema where it has some, else in those of Effect. */
const expectedAt = (ast: SchemaAST.AST, path: ReadonlyArray<PropertyKey>, message: string): string => {
  if (message === "Expected no excess property") {
    const known = partsOf(ast, path.slice(0, -1)).flatMap(keysOf)
    return `no such setting; known are ${known.join(", ")}`
  }
  const said = message.replace(/^Expected /, "")
  const parts = partsOf(ast, path)
  // a missing key and a rule between fields have their own text
  if (message === said) return said
  const isBound = parts.some((part) => part.checks?.some((check) => expectedOf(check.annotations) === said))
  const text = isBound ? said : (parts.map(textOf).find((text) => text !== undefined) ?? said)
  return parts.some(isDuration) ? `${text} (such as "30 seconds")` : text
}

/** Of what files may hold, only durations have a type of their own. */
const isDuration = (ast: SchemaAST.AST): boolean =>
  ast._tag === "Declaration" || (ast._tag === "Union" && ast.types.some(isDuration))

/** What may stand where the path leads. */
const partsOf = (ast: SchemaAST.AST, path: ReadonlyArray<PropertyKey>): ReadonlyArray<SchemaAST.AST> => {
  const [key, ...deeper] = path
  if (key === undefined) return [ast]
  if (ast._tag === "Union") return ast.types.flatMap((each) => partsOf(each, path))
  if (ast._tag === "Arrays") return ast.rest.flatMap((each) => partsOf(each, deeper))
  if (ast._tag !== "Objects") return []
  const field = ast.propertySignatures.find(({ name }) => name === key)
  if (field !== undefined) return partsOf(field.type, deeper)
  return ast.indexSignatures.flatMap(({ type }) => partsOf(type, deeper))
}

const keysOf = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects"
    ? ast.propertySignatures.map(({ name }) => String(name))
    : ast._tag === "Union"
      ? ast.types.flatMap(keysOf)
      : []

/** What has a type of its own, such as a duration, is described by its bound. */
const textOf = (ast: SchemaAST.AST): string | undefined => {
  const ofBound = expectedOf(ast.checks?.[0]?.annotations)
  const ofType = expectedOf(ast.annotations)
  return ast._tag === "Declaration" ? (ofBound ?? ofType) : (ofType ?? ofBound)
}

const expectedOf = (annotations: { readonly [key: string]: unknown } | undefined): string | undefined => {
  const text = annotations?.["expected"]
  return typeof text === "string" ? text : undefined
}
