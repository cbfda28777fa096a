/**
 * The syntaxes of configuration files. Each parser is loaded when a file needs it.
 */
import * as Effect from "effect/Effect"
import * as Document from "./document.ts"
import type { Findings, Location } from "./findings.ts"

/** What a file is written in: JSON with comments and trailing commas, TOML 1.0, YAML 1.2. */
export type Format = "jsonc" | "toml" | "yaml"

/** What a parser finds in a text: what it says, or why it says nothing. */
export type Parsed = { readonly tree: Document.Tree } | { readonly problems: ReadonlyArray<Problem> }

/** Where a text breaks the rules of its syntax, and how in the parser's words, which repeat no text of the file. */
export interface Problem {
  readonly at: number | Location
  readonly expected: string
}

/** By the file's name: what is not `.toml`, `.yaml` or `.yml` is JSON. */
export const formatOf = (file: string): Format =>
  /\.toml$/i.test(file) ? "toml" : /\.ya?ml$/i.test(file) ? "yaml" : "jsonc"

const load = (format: Format): Effect.Effect<(text: string) => Parsed> => {
  switch (format) {
    case "jsonc":
      return Effect.map(
        Effect.promise(() => import("./jsonc.ts")),
        (module) => module.parse
      )
    case "toml":
      return Effect.map(
        Effect.promise(() => import("./toml.ts")),
        (module) => module.parse
      )
    case "yaml":
      return Effect.map(
        Effect.promise(() => import("./yaml.ts")),
        (module) => module.parse
      )
  }
}

/** After a mistake a parser guesses: of one line the first counts, and of a file those of ten lines. */
const maxProblems = 10

/** The document; `undefined`, with the mistakes told, where the text breaks the rules of its syntax. */
export const parse = (text: string, format: Format, findings: Findings): Effect.Effect<Document.Document | undefined> =>
  Effect.map(load(format), (parser) => {
    const parsed = parser(text)
    if ("problems" in parsed) {
      const positions = new Document.Positions(text)
      const lines = new Set<number>()
      for (const { at, expected } of parsed.problems) {
        const location = typeof at === "number" ? positions.location(at) : at
        if (!lines.has(location.line) && lines.size < maxProblems) findings.mistake([], expected, location)
        lines.add(location.line)
      }
      return undefined
    }
    const document = Document.make(text, parsed.tree, findings)
    findings.locateWith(document.locate)
    return document
  })
