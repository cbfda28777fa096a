/**
 * A list in the order of adding, whose items know their neighbours: any of them is taken out at once, and nothing is made for one
 * that comes and goes.
 */
export class Chain<A extends Link<A>> {
  first: A | undefined
  last: A | undefined

  add(item: A): void {
    this.addBehind(this.last, item)
  }

  /** Behind one that is in this one; `undefined`: in front of all. */
  addBehind(before: A | undefined, item: A): void {
    const after = before === undefined ? this.first : before.after
    item.before = before
    item.after = after
    if (before === undefined) this.first = item
    else before.after = item
    if (after === undefined) this.last = item
    else after.before = item
  }

  /** Of an item that is in this one. */
  remove(item: A): void {
    if (item.before === undefined) this.first = item.after
    else item.before.after = item.after
    if (item.after === undefined) this.last = item.before
    else item.after.before = item.before
    item.before = undefined
    item.after = undefined
  }
}

/** An item of one chain at a time. */
export interface Link<A> {
  before: A | undefined
  after: A | undefined
}
