/**
 * JSON with comments and trailing commas, as VS Code reads it.
 */
import * as Jsonc from "jsonc-parser"
import { maxDepth, maxValues, type Tree } from "./document.ts"
import type { Parsed, Problem } from "./syntax.ts"

export const parse = (text: string): Parsed => {
  const tooMuch = firstTooMuch(text)
  if (tooMuch !== undefined) return { problems: [tooMuch] }
  const errors: Array<Jsonc.ParseError> = []
  const node = Jsonc.parseTree(text, errors, { allowTrailingComma: true, disallowComments: false })
  const problems = errors.map(({ error, offset }): Problem => ({
    at: offset,
    expected: expectations[Jsonc.printParseErrorCode(error)] ?? "JSON"
  }))
  if (problems.length > 0) return { problems }
  return node === undefined ? { problems: [{ at: 0, expected: "JSON; this is empty" }] } : { tree: treeOf(node) }
}

/** The parser recurses, and keeps all that it finds: so depth and number are measured before. */
const firstTooMuch = (text: string): Problem | undefined => {
  const scanner = Jsonc.createScanner(text, true)
  let depth = 0
  let values = 0
  for (let token = scanner.scan(); token !== Jsonc.SyntaxKind.EOF; token = scanner.scan()) {
    if (token === Jsonc.SyntaxKind.OpenBraceToken || token === Jsonc.SyntaxKind.OpenBracketToken) depth += 1
    if (token === Jsonc.SyntaxKind.CloseBraceToken || token === Jsonc.SyntaxKind.CloseBracketToken) depth -= 1
    if (!separating.has(token)) values += 1
    if (depth > maxDepth) return { at: scanner.getTokenOffset(), expected: `at most ${maxDepth} levels of nesting` }
    if (values > maxValues) return { at: scanner.getTokenOffset(), expected: `at most ${maxValues} names and values` }
  }
  return undefined
}

const separating: ReadonlySet<Jsonc.SyntaxKind> = new Set([
  Jsonc.SyntaxKind.CloseBraceToken,
  Jsonc.SyntaxKind.CloseBracketToken,
  Jsonc.SyntaxKind.ColonToken,
  Jsonc.SyntaxKind.CommaToken
])

const treeOf = (node: Jsonc.Node): Tree => {
  const at = node.offset
  if (node.type === "array") return { kind: "list", at, items: (node.children ?? []).map(treeOf) }
  if (node.type !== "object") return { kind: "scalar", at, value: node.value }
  return {
    kind: "object",
    at,
    entries: (node.children ?? []).flatMap(({ children: [key, value] = [] }) =>
      key === undefined || value === undefined ? [] : [{ key: String(key.value), at: key.offset, value: treeOf(value) }]
    )
  }
}

const expectations: Readonly<Record<string, string>> = {
  InvalidSymbol: "JSON: a string in double quotes, a number, true, false, null, { or [",
  InvalidNumberFormat: "JSON: a number",
  PropertyNameExpected: "JSON: a name in double quotes",
  ValueExpected: "JSON: a value",
  ColonExpected: "JSON: a colon",
  CommaExpected: "JSON: a comma",
  CloseBraceExpected: "JSON: a closing }",
  CloseBracketExpected: "JSON: a closing ]",
  EndOfFileExpected: "JSON: nothing after its end",
  InvalidCommentToken: "JSON: a comment that is // or /* */",
  UnexpectedEndOfComment: "JSON: the end of a comment",
  UnexpectedEndOfString: "JSON: a closing quote",
  UnexpectedEndOfNumber: "JSON: the rest of a number",
  InvalidUnicode: "JSON: four hexadecimal digits after \\u",
  InvalidEscapeCharacter: "JSON: an escape that it knows",
  InvalidCharacter: "JSON: control characters escaped"
}
