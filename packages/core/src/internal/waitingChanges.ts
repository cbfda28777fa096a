/**
 * Changes that a reader has not taken yet. Each is there once, however often it was told, since it says only that something is not what it
 * was: so a slow reader loses nothing, and a server that tells without an end fills nothing.
 */
import { type Change, list, resource } from "../Changes.ts"
import type { Kind } from "../Lists.ts"

/** How many resources may wait that were not asked for by their own URI. */
const most = 1024
/** and how long such a URI may be, in UTF-16 code units */
const longest = 2048

/** See the module. */
export class WaitingChanges {
  readonly #asked: ReadonlySet<string>
  readonly #kinds = new Set<Kind>()
  readonly #uris = new Set<string>()

  /** `asked`: the URIs that were asked for */
  constructor(asked: ReadonlySet<string>) {
    this.#asked = asked
  }

  /**
   * Of more resources than may wait, or with longer URIs, it is said that those have changed that were asked for: what belongs to them is
   * read again with them.
   */
  add(change: Change): void {
    if (change._tag === "List") return void this.#kinds.add(change.kind)
    const { uri } = change
    const isKept = this.#asked.has(uri) || (uri.length <= longest && this.#uris.size < most + this.#asked.size)
    for (const each of isKept ? [uri] : this.#asked) this.#uris.add(each)
  }

  /** All of them, which wait no more. */
  take(): ReadonlyArray<Change> {
    const taken = [...[...this.#kinds].map(list), ...[...this.#uris].map(resource)]
    this.#kinds.clear()
    this.#uris.clear()
    return taken
  }
}
