/**
 * A file that was read, whatever it is written in: its value, and where in the text each part of it stands.
 */
import type { Findings, Location, Place } from "./findings.ts"

/** What a parser of one syntax makes; `at` is an offset in the text, of an entry that of its key. */
export type Tree =
  | { readonly kind: "scalar"; readonly at: number; readonly value: unknown }
  | { readonly kind: "list"; readonly at: number; readonly items: ReadonlyArray<Tree> }
  | { readonly kind: "object"; readonly at: number; readonly entries: ReadonlyArray<Entry> }

/** One key of an object with what stands there. */
export interface Entry {
  readonly key: string
  readonly at: number
  readonly value: Tree
}

/** What a text says, and where. */
export interface Document {
  readonly value: unknown
  /** where that stands; of what is missing, where it is missing */
  readonly locate: (place: Place) => Location
}

/** No file for people is deeper; what walks a value recurses. */
export const maxDepth = 64

/** Ten thousand servers of a hundred each. Each takes memory and time, of which a process that keeps connections alive has to spare. */
export const maxValues = 1_000_000

/** `__proto__` would be no field of an object but its prototype. */
const forbidden = "__proto__"

/** Puts the value together; keys that stand twice and what is too deep are findings. */
export const make = (text: string, tree: Tree, findings: Findings): Document => {
  const positions = new Positions(text)
  const root: Spot = { at: tree.at, inner: new Map() }
  const build = (tree: Tree, spot: Spot, place: Place): unknown => {
    if (tree.kind === "scalar") return tree.value
    if (place.length >= maxDepth) {
      findings.mistake(place.slice(0, 8), `at most ${maxDepth} levels of nesting`, positions.location(tree.at))
      return undefined
    }
    if (tree.kind === "list") {
      return tree.items.map((item, index) => build(item, inside(spot, index, item.at), [...place, index]))
    }
    const fields = new Map<string, unknown>()
    for (const { at, key, value } of tree.entries) {
      const here = [...place, key]
      if (key === forbidden) {
        findings.mistake(here, "another name: this one is JavaScript's own", positions.location(at))
      } else if (fields.has(key)) {
        findings.mistake(here, "each name once: only one of these would count", positions.location(at))
      } else {
        fields.set(key, build(value, inside(spot, key, at), here))
      }
    }
    return Object.fromEntries(fields)
  }
  // A part of a text may be held as a part of it: whoever keeps one server's name would keep the whole file.
  const value = structuredClone(build(tree, root, []))
  const locate = (place: Place): Location => {
    let spot = root
    for (const key of place) {
      const next = spot.inner.get(key)
      if (next === undefined) break
      spot = next
    }
    return positions.location(spot.at)
  }
  return { value, locate }
}

interface Spot {
  readonly at: number
  readonly inner: Map<string | number, Spot>
}

const inside = (spot: Spot, key: string | number, at: number): Spot => {
  const next: Spot = { at, inner: new Map() }
  spot.inner.set(key, next)
  return next
}

/** Lines and columns of offsets, both from 1. */
export class Positions {
  readonly #starts: ReadonlyArray<number>

  constructor(text: string) {
    const starts = [0]
    for (let at = text.indexOf("\n"); at !== -1; at = text.indexOf("\n", at + 1)) starts.push(at + 1)
    this.#starts = starts
  }

  location(offset: number): Location {
    let low = 0
    let high = this.#starts.length
    while (high - low > 1) {
      const middle = (low + high) >>> 1
      if ((this.#starts[middle] ?? 0) <= offset) low = middle
      else high = middle
    }
    return { line: low + 1, column: offset - (this.#starts[low] ?? 0) + 1 }
  }
}
