/**
 * A list as a server gave it: names and fingerprints, sorted by name. Backends whose servers list the same share one table, so that
 * thousands of backends of one server cost the names once.
 */
import type { Listed } from "../Connector.ts"
import * as Fingerprint from "./fingerprint.ts"

/** See the module. Two columns, since an object for each entry would take three times as much. */
export interface Table {
  readonly names: ReadonlyArray<string>
  /** in the order of the names */
  readonly fingerprints: ReadonlyArray<number>
  /** the names of those of which the server says that calling them twice does what calling them once does */
  readonly replayable: ReadonlyArray<string>
}

const none: ReadonlyArray<never> = []

/** Of a server that lists nothing. */
export const empty: Table = { names: none, fingerprints: none, replayable: none }

/** Of several entries with one name, the last counts. */
export const of = (listed: ReadonlyArray<Listed>): Table => {
  if (listed.length === 0) return empty
  const byName = new Map<string, Listed>()
  for (const entry of listed) byName.set(told(entry.name), entry)
  const names = [...byName.keys()].toSorted()
  const fingerprints: Array<number> = []
  const replayable: Array<string> = []
  for (const name of names) {
    const entry = byName.get(name)
    fingerprints.push(entry?.fingerprint ?? 0)
    if (entry?.replayable === true) replayable.push(name)
  }
  return shared({ names, fingerprints, replayable: replayable.length === 0 ? none : replayable })
}

// ------------------------------------------------------------------------------------------------------------- sharing

/** By a hash of what they say. They are held as long as a backend has them, and no longer. */
const known = new Map<number, WeakRef<Table>>()

const forgotten = new FinalizationRegistry<number>((key) => {
  // another one may have come in its place
  if (known.get(key)?.deref() === undefined) known.delete(key)
})

const shared = (table: Table): Table => {
  const key = Fingerprint.of([table.names, table.fingerprints, table.replayable])
  const other = known.get(key)?.deref()
  if (other !== undefined) return areSame(other, table) ? other : table
  known.set(key, new WeakRef(table))
  forgotten.register(table, key)
  return table
}

const areSame = (one: Table, other: Table): boolean =>
  areEqual(one.names, other.names) &&
  areEqual(one.fingerprints, other.fingerprints) &&
  areEqual(one.replayable, other.replayable)

const areEqual = <A>(some: ReadonlyArray<A>, others: ReadonlyArray<A>): boolean =>
  some.length === others.length && some.every((value, index) => value === others[index])

// --------------------------------------------------------------------------------------------------------------- names

/** The longest name that is kept as it is, in UTF-16 code units. URIs of resources may be as long as a message. */
const longest = 1024

const kept = 1000

/** A name as it is told: without what may be a credential, and bounded. Two that differ only in what is left out stay two. */
const told = (name: string): string => {
  const visible = withoutCredentials(name)
  return visible === name && name.length <= longest
    ? name
    : copied(`${visible.slice(0, kept)}…${Fingerprint.of(name).toString(36)}`)
}

/** Of a URI, neither its query nor the user before its host. (`{?page}` is no query but an expression of a URI template.) */
const withoutCredentials = (name: string): string => {
  if (!/^[a-z][a-z\d+.-]*:/iu.test(name)) return name
  const query = /(?<!\{)\?/u.exec(name)?.index ?? name.length
  return name.slice(0, query).replace(/^([^/]*\/\/)[^/]*@/u, "$1")
}

/** A part of a string holds on to all of it. */
const copied = (text: string): string => JSON.parse(JSON.stringify(text))

// ---------------------------------------------------------------------------------------------------------- comparison

/** Who hears how two tables differ, in the order of the names. */
export interface Comparison {
  readonly added: (name: string, fingerprint: number) => void
  readonly removed: (name: string, fingerprint: number) => void
  readonly changed: (name: string) => void
}

/** Tells how one follows another. */
export const compare = (before: Table, after: Table, tell: Comparison): void => {
  if (before === after) return
  let at = 0
  let to = 0
  while (at < before.names.length || to < after.names.length) {
    const old = before.names[at]
    const name = after.names[to]
    if (name === undefined || (old !== undefined && old < name)) {
      if (old !== undefined) tell.removed(old, before.fingerprints[at] ?? 0)
      at++
    } else if (old === undefined || name < old) {
      tell.added(name, after.fingerprints[to] ?? 0)
      to++
    } else {
      if (before.fingerprints[at] !== after.fingerprints[to]) tell.changed(name)
      at++
      to++
    }
  }
}
