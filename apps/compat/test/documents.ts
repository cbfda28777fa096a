/** The documents of this repository, and the blocks of code that stand in them and in docstrings. */
import { globSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"

/** The root of this repository. */
export const root = fileURLToPath(new URL("../../../", import.meta.url))

/** A block of code, between two fences. */
export interface Block {
  /** the path of its document or source, from the root */
  readonly document: string
  /** of its first line of code, from 1 */
  readonly line: number
  /** what stands behind the first fence; empty where nothing does */
  readonly language: string
  readonly code: string
}

/** What users and contributors read, by their paths from the root. What tools write (changesets, changelogs) is not among them. */
export const documents: ReadonlyArray<string> = globSync(
  ["*.md", "docs/**/*.md", "{packages,apps}/*/README.md", "{bench,examples}/**/*.md"],
  { cwd: root, exclude: ["**/node_modules/**", "docs/api/**"] }
).toSorted()

/** The text of a file of this repository. */
export const read = (path: string): string => readFileSync(`${root}${path}`, "utf8")

const blocksOf = (document: string): ReadonlyArray<Block> => {
  const blocks: Array<Block> = []
  let open: { readonly indent: string; readonly language: string; readonly lines: Array<string> } | undefined
  for (const [index, line] of read(document).split("\n").entries()) {
    // in a document, or behind the asterisk of a docstring
    const fence = /^(\s*(?:\* )?)```(.*)$/.exec(line)
    if (fence === null) open?.lines.push(line.slice(open.indent.length))
    else if (open === undefined) open = { indent: fence[1] ?? "", language: fence[2] ?? "", lines: [] }
    else {
      const { language, lines } = open
      blocks.push({ document, line: index + 1 - lines.length, language, code: lines.join("\n") })
      open = undefined
    }
  }
  if (open !== undefined) throw new Error(`${document}: a fence is not closed`)
  return blocks
}

/** Every block of every document, and of the docstrings, from which the reference is made. */
export const blocks: ReadonlyArray<Block> = [
  ...documents,
  ...globSync("packages/*/src/**/*.ts", { cwd: root }).toSorted()
].flatMap(blocksOf)

/** Where a block stands, as an editor opens it. */
export const place = ({ document, line }: Block): string => `${document}:${line}`

/** The blocks below a heading of the README, up to the next one of its depth. */
export const blocksBelow = (heading: string): ReadonlyArray<Block> => {
  const lines = read("README.md").split("\n")
  const first = lines.indexOf(heading)
  if (first === -1) throw new Error(`README.md has no heading ${heading}`)
  const depth = heading.slice(0, heading.indexOf(" ") + 1)
  const next = lines.findIndex((line, index) => index > first && line.startsWith(depth))
  const last = next === -1 ? lines.length : next
  return blocks.filter(({ document, line }) => document === "README.md" && line > first && line <= last)
}
