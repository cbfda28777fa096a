/**
 * Whose a resource is. URIs stay as they are: where several servers list one, the first by order has it, and the others lose it.
 */
import { type Entry, type Lists, textOf } from "./kinds.ts"
import { matches } from "./templates.ts"

/** What a backend lists. */
export interface Listed {
  readonly backend: string
  readonly lists: Lists
}

/**
 * A URI, or a URI template, that several backends list.
 */
export interface Conflict {
  readonly uri: string
  /** the id of the backend that has it */
  readonly shown: string
  /** the id of a backend of which it is hidden */
  readonly hidden: string
}

/** Those that are told: a server that lists what others list does not fill this process. */
const mostConflicts = 1000

/** The entries with URIs that no backend before theirs has. */
export const merge = (
  lists: ReadonlyArray<readonly [backend: string, entries: ReadonlyArray<Entry>]>,
  field: "uri" | "uriTemplate"
): {
  readonly entries: ReadonlyArray<Entry>
  readonly owners: ReadonlyMap<string, string>
  readonly conflicts: ReadonlyArray<Conflict>
} => {
  const owners = new Map<string, string>()
  const entries: Array<Entry> = []
  const conflicts: Array<Conflict> = []
  for (const [backend, listed] of lists) {
    for (const entry of listed) {
      const uri = textOf(entry, field)
      if (uri === undefined) continue
      const owner = owners.get(uri)
      if (owner === undefined) {
        owners.set(uri, backend)
        entries.push(entry)
      } else if (owner === backend) entries.push(entry)
      else if (conflicts.length < mostConflicts) conflicts.push({ uri, shown: owner, hidden: backend })
    }
  }
  return { entries, owners, conflicts }
}

/** See the module. */
export class Resources {
  readonly conflicts: ReadonlyArray<Conflict>
  readonly #uris: ReadonlyMap<string, string>
  readonly #templates: ReadonlyMap<string, string>

  /** Of backends in their order. */
  constructor(listed: ReadonlyArray<Listed>) {
    const uris = merge(
      listed.map(({ backend, lists }) => [backend, lists.resources ?? []] as const),
      "uri"
    )
    const templates = merge(
      listed.map(({ backend, lists }) => [backend, lists.resourceTemplates ?? []] as const),
      "uriTemplate"
    )
    this.#uris = uris.owners
    this.#templates = templates.owners
    this.conflicts = [...uris.conflicts, ...templates.conflicts].slice(0, mostConflicts)
  }

  /** The backend that has the resource of that URI, or a template that it can be one of. */
  owner(uri: string): string | undefined {
    const known = this.#uris.get(uri) ?? this.#templates.get(uri)
    if (known !== undefined) return known
    for (const [template, backend] of this.#templates) if (matches(template, uri)) return backend
    return undefined
  }
}
