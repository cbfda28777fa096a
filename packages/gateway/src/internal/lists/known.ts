/**
 * What is known of the lists of each backend, as it was read last: what hosts are told of a backend that cannot be asked now.
 */
import { Lists as OfCore } from "@vmcp-keepalive/core"
import type { Entry, Kind, Lists } from "../catalogue/kinds.ts"

/**
 * Who has read a list. A server may list for a host what it does not list for others, by what the host can be asked: so what a host has
 * read holds, and what was read without one only until then.
 */
export type Reader = "host" | "gateway"

interface OfBackend {
  lists: Lists
  readonly readers: Map<Kind, Reader>
  readonly fingerprints: Map<Kind, number>
}

const nothing: Lists = {}

/** See the module. How long one list may be is the bound of who reads it. */
export class Known {
  readonly #changed: (backend: string) => void
  readonly #backends = new Map<string, OfBackend>()

  /** `changed` is told of every backend of which something else is known now. */
  constructor(changed: (backend: string) => void) {
    this.#changed = changed
  }

  get(backend: string): Lists {
    return this.#backends.get(backend)?.lists ?? nothing
  }

  set(backend: string, kind: Kind, entries: ReadonlyArray<Entry>, reader: Reader): void {
    const known = this.#backends.get(backend) ?? { lists: nothing, readers: new Map(), fingerprints: new Map() }
    if (reader === "gateway" && known.readers.get(kind) === "host") return
    known.readers.set(kind, reader)
    this.#backends.set(backend, known)
    const fingerprint = OfCore.fingerprint(entries)
    if (known.fingerprints.get(kind) === fingerprint) return
    known.fingerprints.set(kind, fingerprint)
    known.lists = { ...known.lists, [kind]: entries }
    this.#changed(backend)
  }

  /** What was known in an earlier life, which anything that is read replaces. */
  restore(backend: string, lists: Lists): void {
    if (this.#backends.has(backend)) return
    this.#backends.set(backend, { lists, readers: new Map(), fingerprints: new Map() })
  }

  forget(backend: string): void {
    this.#backends.delete(backend)
  }
}
