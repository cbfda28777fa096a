/**
 * A page that is rendered once for all who ask at once, and of which a few are held at most, however slowly they are read.
 */
import { setImmediate, setTimeout } from "node:timers/promises"
import * as Blocks from "./blocks.ts"

export interface Page {
  readonly parts: ReadonlyArray<Uint8Array>
  /** in bytes */
  readonly size: number
}

export interface Options {
  /** the page in parts, each made when it is taken */
  readonly render: () => Iterable<string>
  /** ends what is under way */
  readonly signal: AbortSignal
}

/**
 * Lends a page until the promise of the borrower is settled, who must have forgotten it by then. It shows everything that
 * happened before this was called; but if slow readers hold {@link mostPages}, it is the newest of them, which is no older than
 * the time that a reader has. Fails with what `render` throws, and when aborted.
 */
export type Lend = (borrower: (page: Page) => Promise<void>) => Promise<void>

/** In memory at once, at most. */
export const mostPages = 2

/** Between two renderings there is as long a rest as the first one took, but no longer than this, in milliseconds. */
const longestRest = 250

/** Those who ask while one is being rendered share the next one. */
export const make = ({ render, signal }: Options): Lend => {
  const blocks = Blocks.make()
  /** how many borrowed what, in the order of rendering */
  const borrowed = new Map<Page, number>()
  /** what those who ask now will get, as long as it is not begun, and how many they are */
  let next: Promise<Page> | undefined
  let asking = 0
  /** until the next one may be begun */
  let rested: Promise<void> = Promise.resolve()

  const hold = (page: Page, count: number): Page => {
    borrowed.set(page, (borrowed.get(page) ?? 0) + count)
    return page
  }
  const release = (page: Page) => {
    hold(page, -1)
    if (borrowed.get(page) !== 0) return
    borrowed.delete(page)
    blocks.free(page.parts)
  }

  // everything else that is due goes between two parts
  const pause = () => setImmediate(undefined, { signal })
  const rendered = async (borrowers: number): Promise<Page> => {
    const parts = await blocks.write(render(), pause)
    if (borrowed.size === 0) blocks.forget()
    return hold({ parts, size: parts.reduce((size, part) => size + part.length, 0) }, borrowers)
  }

  const begin = async (): Promise<Page> => {
    await rested
    const borrowers = asking
    next = undefined
    asking = 0
    const newest = [...borrowed.keys()].at(-1)
    if (newest !== undefined && borrowed.size >= mostPages) return hold(newest, borrowers)
    const begun = performance.now()
    const page = rendered(borrowers)
    const rest = () => setTimeout(Math.min(performance.now() - begun, longestRest), undefined, { ref: false, signal })
    rested = page.then(rest).catch(() => {})
    return page
  }

  return async (borrower) => {
    asking++
    const page = await (next ??= begin())
    try {
      await borrower(page)
    } finally {
      release(page)
    }
  }
}
