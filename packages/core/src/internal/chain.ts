/**
 * A list in the order of adding, whose items know their neighbours: any of them is taken out at once, and nothing is made for one
 * that comes and goes.
 */
export class Chain<A extends Link<A>> {
  first: A | undefined
  last: A | undefined

  add(item: A): void {
    item.before = this.last
    if (this.last === undefined) this.first = item
    else this.last.after = item
    this.last = item
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
