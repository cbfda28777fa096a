/**
 * The names under which the tools, or the prompts, of many servers are shown: `id__name`, of the characters that the APIs of models
 * take, at most 64 of them. A name that would be longer, or hold others, or could be split in two ways, ends in a hash of the whole.
 *
 * What a name means is looked up and never split. It means the same for as long as its backend is there, whatever comes beside it:
 * a model that has read a name calls what it read of.
 */
import { createHash } from "node:crypto"

/** Whose it is, and its own name there. */
export interface Target {
  readonly backend: string
  readonly name: string
}

const most = 64
const separator = "__"

/** The longest that an API of a model takes, and its characters. */
const valid = /^[A-Za-z0-9_-]{1,64}$/

/** With such an id the first `__` of a name is where it ends: no two names of such ids are the same. */
const unambiguous = /^[A-Za-z0-9_-]*[A-Za-z0-9-]$/

/** The name of a target; a further one, where that is taken. */
export const shownAs = ({ backend, name }: Target, further = 0): string => {
  const whole = `${backend}${separator}${name}`
  const isPlain = unambiguous.test(backend) && !backend.includes(separator) && valid.test(whole)
  if (isPlain && further === 0) return whole
  const hash = createHash("sha256").update(`${backend}\0${name}\0${further}`).digest("hex").slice(0, 10)
  return `${whole.replaceAll(/[^A-Za-z0-9_-]/g, "_").slice(0, most - 1 - hash.length)}_${hash}`
}

/** Names of one backend that are remembered; a server whose names change with each list does not fill this process. */
const mostOfBackend = 20_000

/** See the module. One for tools, one for prompts. */
export class Names {
  /** the backend that is there alone, whose names are shown as they are */
  alone: string | undefined
  readonly #targets = new Map<string, Target>()
  readonly #shown = new Map<string, Map<string, string>>()

  /** The name under which it is shown. */
  shown(backend: string, name: string): string {
    if (this.alone === backend) return name
    const ofBackend = this.#shown.get(backend) ?? new Map<string, string>()
    const known = ofBackend.get(name)
    if (known !== undefined) return known
    if (ofBackend.size >= mostOfBackend) this.#forgetNames(ofBackend)
    this.#shown.set(backend, ofBackend)
    const target = { backend, name }
    let shown = shownAs(target)
    for (let further = 1; this.#targets.has(shown); further++) shown = shownAs(target, further)
    ofBackend.set(name, shown)
    this.#targets.set(shown, target)
    return shown
  }

  /** What a name means, where it was shown. */
  target(shown: string): Target | undefined {
    return this.alone === undefined ? this.#targets.get(shown) : { backend: this.alone, name: shown }
  }

  /** The backend is gone. */
  forget(backend: string): void {
    const ofBackend = this.#shown.get(backend)
    if (ofBackend !== undefined) this.#forgetNames(ofBackend)
    this.#shown.delete(backend)
  }

  #forgetNames(ofBackend: Map<string, string>): void {
    for (const shown of ofBackend.values()) this.#targets.delete(shown)
    ofBackend.clear()
  }
}
