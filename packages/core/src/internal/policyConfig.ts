/**
 * The settings of a policy as variables of the environment.
 */
import * as Config from "effect/Config"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import type { ConfigurationIssue } from "../BackendError.ts"
import { checker, type Unchecked } from "./issues.ts"
import { ofFile } from "./policySchema.ts"
import { prepared } from "./untyped.ts"

/** How the text of a variable is read. What cannot be read so stays text, of which the Schema says what is expected. */
type Reader = (text: string) => unknown

const word: Reader = (text) => text
const number: Reader = (text) => (/^\d+(\.\d+)?$/.test(text) ? Number(text) : text)
const flag: Reader = (text) => (text === "true" ? true : text === "false" ? false : text)
const json: Reader = (text) => Option.getOrElse(parsed(text), () => text)
const parsed = Option.liftThrowable((text: string): unknown => JSON.parse(text))

/** Every setting that has a variable, by its path. */
const readers: Readonly<Record<string, Reader>> = {
  probe: word,
  "probe.tool.name": word,
  "probe.tool.arguments": json,
  interval: word,
  timeout: word,
  confirmInterval: word,
  failureThreshold: number,
  fallbackAfter: number,
  connectTimeout: word,
  stableAfter: word,
  waitForSession: word,
  staleAfter: word,
  inFlightGrace: word,
  drainTimeout: word,
  removalGrace: word,
  connect: word,
  reattempt: word,
  idleAfter: word,
  maxLifetime: word,
  maxConcurrent: number,
  queue: number,
  trustAnnotations: flag,
  required: flag,
  startDeadline: word,
  spans: flag,
  "backoff.initial": word,
  "backoff.factor": number,
  "backoff.cap": word,
  circuit: word,
  "circuit.failures": number,
  "circuit.openFor": word,
  "circuit.openFor.initial": word,
  "circuit.openFor.factor": number,
  "circuit.openFor.cap": word,
  replayBudget: word,
  "replayBudget.ratio": number,
  "replayBudget.window": word
}

const paths = Object.keys(readers)

/** `circuit.openFor.initial` is `CIRCUIT_OPEN_FOR_INITIAL`. */
const nameOf = (path: string) =>
  path
    .replaceAll(".", "_")
    .replaceAll(/[A-Z]/g, (letter) => `_${letter}`)
    .toUpperCase()

const check = checker(ofFile, Object.keys(ofFile.fields))

/** The options of which the variables speak whose names begin so; fails with everything that is wrong. */
export const read = (prefix: string): Config.Config<typeof ofFile.Type> =>
  Config.mapEffect(
    Config.all({
      texts: Config.all(
        paths.map((path) =>
          Config.map(Config.option(Config.String(`${prefix}_${nameOf(path)}`)), (text) => ({ path, text }))
        )
      ),
      names: namesUnder(prefix.split("_"))
    }),
    ({ names, texts }) => {
      const given = texts.flatMap(({ path, text }) => (Option.isSome(text) ? [{ path, text: text.value }] : []))
      const { issues, value } = check(prepared(nested(given)))
      const wrong = [...unknown(prefix, names), ...ambiguous(prefix, given), ...issues.map(ofVariable(prefix))]
      return isNonEmpty(wrong) ? Effect.fail(errorOf(wrong)) : Effect.succeed(value)
    }
  )

// --------------------------------------------------------------------------------------------------- what is there

interface Given {
  readonly path: string
  readonly text: string
}

const Children = Schema.Record(Schema.String, Schema.UndefinedOr(Schema.String))

/** Every variable whose name begins so; none where the provider cannot list them. */
const namesUnder = (path: ReadonlyArray<string>): Config.Config<ReadonlyArray<string>> =>
  Config.flatMap(Config.withDefault(Config.schema(Children, path), {}), (children) =>
    Config.map(
      Config.all(
        Object.entries(children).map(([segment, text]) => {
          const here = [...path, segment]
          return Config.map(namesUnder(here), (deeper) => (text === undefined ? deeper : [here.join("_"), ...deeper]))
        })
      ),
      (names) => names.flat()
    )
  )

/** Settings as objects. Where a setting and a part of it are given, the part counts: that is told as a mistake. */
const nested = (given: ReadonlyArray<Given>): Unchecked => {
  const text = (path: string) => given.find((each) => each.path === path)?.text
  const at = (path: string): unknown => {
    const parts = given.filter((each) => each.path.startsWith(`${path}.`))
    const inner = new Set(parts.map((each) => each.path.slice(path.length + 1).split(".")[0] ?? ""))
    const here = text(path)
    if (inner.size === 0) return here === undefined ? undefined : readers[path]?.(here)
    const object = Object.fromEntries([...inner].map((key) => [key, at(`${path}.${key}`)]))
    return path === "probe" && here !== undefined ? { method: here, ...object } : object
  }
  return Object.fromEntries(fields.map((field) => [field, at(field)]).filter(([, value]) => value !== undefined))
}

const fields = Object.keys(ofFile.fields)

// ---------------------------------------------------------------------------------------------------- what is wrong

const unknown = (prefix: string, names: ReadonlyArray<string>): ReadonlyArray<Mistake> => {
  const known = new Set(paths.map((path) => `${prefix}_${nameOf(path)}`))
  return names
    .filter((name) => !known.has(name))
    .map((name) => ({ name, expected: `no such setting; known are ${[...known].join(", ")}` }))
}

const ambiguous = (prefix: string, given: ReadonlyArray<Given>): ReadonlyArray<Mistake> =>
  given.flatMap(({ path }) => {
    const part = given.find((each) => path !== "probe" && each.path.startsWith(`${path}.`))
    if (part === undefined) return []
    return [{ name: `${prefix}_${nameOf(path)}`, expected: `no value beside ${prefix}_${nameOf(part.path)}` }]
  })

interface Mistake {
  readonly name: string
  readonly expected: string
}

const ofVariable =
  (prefix: string) =>
  ({ expected, path }: ConfigurationIssue): Mistake => {
    const known = path.map((_, index) => path.slice(0, path.length - index).join(".")).find((each) => each in readers)
    return {
      name: `${prefix}_${nameOf(known ?? path.join("."))}`,
      expected: expected.startsWith("a duration") ? `${expected}, such as 30 seconds` : expected
    }
  }

const isNonEmpty = <A>(values: ReadonlyArray<A>): values is readonly [A, ...Array<A>] => values.length > 0

const errorOf = ([first, ...others]: readonly [Mistake, ...Array<Mistake>]) => {
  const issue = ({ expected, name }: Mistake) =>
    new SchemaIssue.Pointer([name], new SchemaIssue.InvalidValue({ expected }))
  return new Config.ConfigError(
    new Schema.SchemaError(new SchemaIssue.Composite(ofFile.ast, [issue(first), ...others.map(issue)]))
  )
}
