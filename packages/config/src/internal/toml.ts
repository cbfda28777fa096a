/**
 * TOML 1.0, as Codex writes its configuration.
 */
import { type AST, ParseError, parseTOML } from "toml-eslint-parser"
import type { Tree } from "./document.ts"
import type { Parsed } from "./syntax.ts"

export const parse = (text: string): Parsed => {
  try {
    return { tree: treeOf(parseTOML(text, { tomlVersion: "1.0" })) }
  } catch (error) {
    if (error instanceof ParseError) {
      // its columns begin with 0
      const at = { line: error.lineNumber, column: error.column + 1 }
      return { problems: [{ at, expected: `TOML (${error.message})` }] }
    }
    if (error instanceof RangeError) return { problems: [{ at: 0, expected: "TOML that is nested less deeply" }] }
    throw error
  }
}

/** Tables of TOML may be spread over a file: what belongs to one object is gathered first. */
interface Table {
  readonly kind: "table"
  readonly at: number
  readonly entries: Map<string, { readonly at: number; readonly value: Part }>
}

interface List {
  readonly kind: "list"
  readonly at: number
  readonly items: Array<Part>
}

type Part = Table | List | { readonly kind: "scalar"; readonly at: number; readonly value: unknown }

const table = (at: number): Table => ({ kind: "table", at, entries: new Map() })

const treeOf = (program: AST.TOMLProgram): Tree => {
  const root = table(0)
  for (const node of program.body[0].body) {
    if (node.type === "TOMLKeyValue") add(root, node)
    else {
      const inner = tableAt(root, node.resolvedKey, node.key.range[0])
      for (const each of node.body) add(inner, each)
    }
  }
  return finished(root)
}

const add = (to: Table, { key, value }: AST.TOMLKeyValue): void => {
  const names = key.keys.map((each) => (each.type === "TOMLBare" ? each.name : each.value))
  const at = key.range[0]
  tableAt(to, names.slice(0, -1), at).entries.set(names.at(-1) ?? "", { at, value: partOf(value) })
}

/** The table to which the path leads, made where it is not there; the parser has seen to it that nothing else stands there. */
const tableAt = (from: Table, path: ReadonlyArray<string | number>, at: number): Table => {
  let part: Part = from
  for (const [index, key] of path.entries()) {
    const made: Part = typeof path[index + 1] === "number" ? { kind: "list", at, items: [] } : table(at)
    if (part.kind === "list" && typeof key === "number") {
      const item: Part = part.items[key] ?? made
      part.items[key] = item
      part = item
    } else if (part.kind === "table" && typeof key === "string") {
      const entry: { readonly at: number; readonly value: Part } = part.entries.get(key) ?? { at, value: made }
      part.entries.set(key, entry)
      part = entry.value
    }
  }
  return part.kind === "table" ? part : from
}

const partOf = (node: AST.TOMLContentNode): Part => {
  const at = node.range[0]
  switch (node.type) {
    case "TOMLValue":
      return { kind: "scalar", at, value: node.value }
    case "TOMLArray":
      return { kind: "list", at, items: node.elements.map(partOf) }
    case "TOMLInlineTable": {
      const inner = table(at)
      for (const each of node.body) add(inner, each)
      return inner
    }
  }
}

const finished = (part: Part): Tree => {
  switch (part.kind) {
    case "scalar":
      return part
    case "list":
      return { kind: "list", at: part.at, items: part.items.map(finished) }
    case "table":
      return {
        kind: "object",
        at: part.at,
        entries: [...part.entries].map(([key, { at, value }]) => ({ key, at, value: finished(value) }))
      }
  }
}
