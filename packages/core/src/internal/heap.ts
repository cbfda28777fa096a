/**
 * A binary heap whose items know their place in it, so that any of them can be taken out or moved.
 */
export class Heap<A extends Item> {
  readonly #items: Array<A> = []

  /** one whose `at` is the least */
  get first(): A | undefined {
    return this.#items[0]
  }

  add(item: A): void {
    this.#rise(this.#items.length, item)
  }

  /** Nothing for one that is not in it. */
  remove(item: A): void {
    const { index } = item
    if (index < 0) return
    item.index = -1
    const last = this.#items.pop()
    if (last !== undefined && last !== item) this.#settle(index, last)
  }

  /** The `at` of one that is in it is another one now. */
  moved(item: A): void {
    this.#settle(item.index, item)
  }

  #settle(index: number, item: A): void {
    const parent = this.#items[(index - 1) >> 1]
    if (parent !== undefined && index > 0 && item.at < parent.at) this.#rise(index, item)
    else this.#sink(index, item)
  }

  #rise(from: number, item: A): void {
    let index = from
    while (index > 0) {
      const above = (index - 1) >> 1
      const parent = this.#items[above]
      if (parent === undefined || parent.at <= item.at) break
      this.#place(index, parent)
      index = above
    }
    this.#place(index, item)
  }

  #sink(from: number, item: A): void {
    let index = from
    while (true) {
      const left = this.#items[2 * index + 1]
      const right = this.#items[2 * index + 2]
      const child = left !== undefined && right !== undefined && right.at < left.at ? right : left
      if (child === undefined || item.at <= child.at) break
      const below = child.index
      this.#place(index, child)
      index = below
    }
    this.#place(index, item)
  }

  #place(index: number, item: A): void {
    this.#items[index] = item
    item.index = index
  }
}

/** What a heap holds: the least `at` comes first. */
export interface Item {
  readonly at: number
  /** where it is in the heap; -1 while it is in none */
  index: number
}
