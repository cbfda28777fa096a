/**
 * What a Schema says of an input, as configuration issues: where, and what is expected there. No value is in one.
 */
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type * as SchemaAST from "effect/SchemaAST"
import type * as SchemaIssue from "effect/SchemaIssue"
import type { ConfigurationIssue } from "../BackendError.ts"

/** An object of unknown content. */
export type Unchecked = Readonly<Record<string, unknown>>

export interface Checked<A> {
  /** what is left where everything that is wrong was left out */
  readonly value: A
  /** in the order of the schema's fields; keys that it does not have come first */
  readonly issues: ReadonlyArray<ConfigurationIssue>
}

/**
 * Checks an input and says everything that is wrong with it at once: what is wrong is left out and the rest is checked again, so
 * that rules between fields are checked beside broken fields. The schema must accept an empty object.
 */
export const checker = <A>(schema: Schema.Codec<A, unknown>, fields: ReadonlyArray<string>) => {
  const decode = Schema.decodeUnknownResult(schema, { errors: "all", onExcessProperty: "error" })
  return (input: Unchecked): Checked<A> => {
    const issues: Array<ConfigurationIssue> = []
    let rest = input
    while (true) {
      const result = decode(rest)
      if (Result.isSuccess(result)) return { value: result.success, issues: sorted(issues, fields) }
      const found = issuesOf(result.failure.issue)
      for (const issue of found) {
        // where something was left out for what is wrong in it, its lack is no mistake of its own
        if (!issues.some((before) => isWithin(before.path, issue.path))) issues.push(issue)
        rest = without(rest, issue.path)
      }
    }
  }
}

const isWithin = (inner: ReadonlyArray<string>, outer: ReadonlyArray<string>) =>
  outer.every((key, index) => inner[index] === key)

const sorted = (issues: ReadonlyArray<ConfigurationIssue>, fields: ReadonlyArray<string>) =>
  issues.toSorted((a, b) => fields.indexOf(a.path[0] ?? "") - fields.indexOf(b.path[0] ?? ""))

/** The input without what the path leads to; where that is missing, without what it is missing in. */
const without = (input: Unchecked, [key = "", ...deeper]: ReadonlyArray<string>): Unchecked => {
  const inner = Object.hasOwn(input, key) ? input[key] : undefined
  const isDeeper = deeper.length > 0 && isRecord(inner) && Object.hasOwn(inner, deeper[0] ?? "")
  const others = Object.entries(input).filter(([name]) => name !== key)
  return Object.fromEntries(isDeeper ? [...others, [key, without(inner, deeper)]] : others)
}

const isRecord = (value: unknown): value is Unchecked => typeof value === "object" && value !== null

const issuesOf = (issue: SchemaIssue.Issue): ReadonlyArray<ConfigurationIssue> => {
  const found = new Map<string, ConfigurationIssue>()
  for (const each of walk(issue, [])) {
    const key = JSON.stringify(each.path)
    if (!found.has(key)) found.set(key, each)
  }
  return [...found.values()]
}

const walk = (issue: SchemaIssue.Issue, path: ReadonlyArray<string>): ReadonlyArray<ConfigurationIssue> => {
  const here = (expected: string | undefined) => [{ path, expected: expected ?? "something else" }]
  switch (issue._tag) {
    case "Pointer":
      return walk(issue.issue, [...path, ...issue.path.map(String)])
    case "Composite":
      return issue.issues.flatMap((each) => walk(each, path))
    case "Encoding":
      return walk(issue.issue, path)
    case "Filter": {
      const inner = walk(issue.issue, path)
      const isDeeper = inner.some((each) => each.path.length > path.length)
      return isDeeper ? inner : here(textOf(issue.filter.annotations) ?? inner[0]?.expected)
    }
    case "AnyOf": {
      const own = textOf(issue.ast.annotations)
      const isHere = (each: ConfigurationIssue) => each.path.length === path.length
      // of several shapes the one that the input has: its bounds are broken, or something inside of it is
      const bounds = issue.issues.find((each) => isOfBounds(each) && walk(each, path).some(isHere))
      if (bounds) return own === undefined ? walk(bounds, path) : here(own)
      const inner = issue.issues.map((each) => walk(each, path)).find((each) => !each.some(isHere))
      return inner ?? here(own ?? (issue.ast.types[0] && expectedOf(issue.ast.types[0])))
    }
    case "UnexpectedKey":
      return here(`no such setting; known are ${keysOf(issue.ast).join(", ")}`)
    case "MissingKey":
    case "InvalidValue":
      return here(textOf(issue.annotations))
    case "InvalidType":
      return here(expectedOf(issue.ast))
    case "OneOf":
    case "Forbidden":
      return here(undefined)
  }
}

const isOfBounds = (issue: SchemaIssue.Issue): boolean =>
  issue._tag === "Filter" || (issue._tag === "Composite" && issue.issues.some(isOfBounds))

const keysOf = (ast: SchemaAST.AST): ReadonlyArray<string> =>
  ast._tag === "Objects" ? ast.propertySignatures.map(({ name }) => String(name)) : []

const expectedOf = (ast: SchemaAST.AST): string | undefined =>
  textOf(ast.checks?.[0]?.annotations) ?? textOf(ast.annotations)

const textOf = (annotations: { readonly [key: string]: unknown } | undefined): string | undefined => {
  const text = annotations?.["expected"] ?? annotations?.["messageMissingKey"] ?? annotations?.["message"]
  return typeof text === "string" ? text : undefined
}
