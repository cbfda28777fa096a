/**
 * What is found while a file is read: mistakes, which make it useless as a whole, and warnings.
 */
import type { Issue } from "../ConfigFileError.ts"

/** Where something stands in a file: keys and indexes from the outermost on. */
export type Place = ReadonlyArray<string | number>

/** A position in the text, both from 1. */
export interface Location {
  readonly line: number
  readonly column: number
}

/** So many of a kind are told one by one: a file that is wrong throughout says so in the first thousand. */
export const maxTold = 1_000

/** Collects what is found, each once. What is told names keys, never values. */
export class Findings {
  readonly #mistakes = new Told()
  readonly #warnings = new Told()
  #locate: (place: Place) => Location | undefined = () => undefined

  /** From now on what is told without a location gets one. */
  locateWith(locate: (place: Place) => Location): void {
    this.#locate = locate
  }

  mistake(place: Place, expected: string, location = this.#locate(place)): void {
    this.#mistakes.tell(place, expected, location)
  }

  warning(place: Place, expected: string, location = this.#locate(place)): void {
    this.#warnings.tell(place, expected, location)
  }

  get count(): number {
    return this.#mistakes.count
  }

  get mistakes(): ReadonlyArray<Issue> {
    return this.#mistakes.inOrder()
  }

  get warnings(): ReadonlyArray<Issue> {
    return this.#warnings.inOrder()
  }
}

class Told {
  readonly #issues = new Map<string, Issue>()
  count = 0

  tell(place: Place, expected: string, location: Location | undefined): void {
    const path = place.map((key, at) => shown(naming.has(place[at - 1] ?? "") ? nameIn(key) : key))
    const key = JSON.stringify([path, expected, location])
    if (this.#issues.has(key)) return
    this.count += 1
    if (this.count <= maxTold) this.#issues.set(key, { path, expected, line: location?.line, column: location?.column })
  }

  inOrder(): ReadonlyArray<Issue> {
    const order = ({ column = 0, line = 0 }: Issue) => line * 1e6 + column
    const issues = [...this.#issues.values()].toSorted((a, b) => order(a) - order(b))
    const others = this.count - issues.length
    return others === 0
      ? issues
      : [...issues, { path: [], expected: `${others} more to be right`, line: undefined, column: undefined }]
  }
}

/** Their keys are names of headers and variables. */
const naming: ReadonlySet<string | number> = new Set(["headers", "http_headers", "env_http_headers", "env"])

/** Without what stands behind it: who took a whole header or assignment for the name wrote a value there. */
const nameIn = (key: string | number): string => String(key).replace(/[=:\s].*$/su, "…")

/** A key as it is told: on one line, and not without end. */
const shown = (key: string | number): string => {
  const text = String(key).replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, "\u{FFFD}")
  return text.length > 128 ? `${text.slice(0, 127)}…` : text
}
