/**
 * YAML 1.2, as toolhive writes its configuration.
 */
import { type Alias, type Document, isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml"
import { maxDepth, maxValues, type Tree } from "./document.ts"
import type { Parsed } from "./syntax.ts"

export const parse = (text: string): Parsed => {
  const lines = new LineCounter()
  try {
    const document = parseDocument(text, {
      uniqueKeys: false,
      prettyErrors: false,
      logLevel: "silent",
      lineCounter: lines
    })
    const problems = document.errors.map(({ code, pos }) => ({ at: pos[0], expected: `YAML (${code})` }))
    if (problems.length > 0) return { problems }
    const tree = new Reader(document).tree(document.contents, 0, 0)
    return { tree }
  } catch (error) {
    if (error instanceof RangeError || error instanceof TooMuch) {
      return { problems: [{ at: 0, expected: "YAML that is nested less deeply and repeats itself less" }] }
    }
    throw error
  }
}

class TooMuch extends Error {}

class Reader {
  readonly #document: Document
  #nodes = 0

  constructor(document: Document) {
    this.#document = document
  }

  tree(node: unknown, at: number, depth: number): Tree {
    this.#nodes += 1
    // An alias stands for all that it names: a few lines can mean billions of values. One deeper than the document allows is kept, so
    // that it is told where it stands.
    if (this.#nodes > maxValues || depth > maxDepth + 1) throw new TooMuch()
    const here = (node as Partial<Node> | null)?.range?.[0] ?? at
    if (isAlias(node)) return this.tree((node as Alias).resolve(this.#document), here, depth + 1)
    if (isSeq(node))
      return { kind: "list", at: here, items: node.items.map((item) => this.tree(item, here, depth + 1)) }
    if (isMap(node)) {
      return {
        kind: "object",
        at: here,
        entries: node.items.map(({ key, value }) => {
          const keyAt = (isScalar(key) ? key.range?.[0] : undefined) ?? here
          return { key: String(isScalar(key) ? key.value : ""), at: keyAt, value: this.tree(value, keyAt, depth + 1) }
        })
      }
    }
    return { kind: "scalar", at: here, value: isScalar(node) ? node.value : undefined }
  }
}
