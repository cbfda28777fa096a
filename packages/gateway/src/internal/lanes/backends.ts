/**
 * The backends of the fleet as hosts see them: in which order, under which names, in which sessions.
 */
import type { Backend } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import type { View } from "../../Gateway.ts"
import type { Lists } from "../catalogue/kinds.ts"
import * as Filter from "../catalogue/filter.ts"
import { Names } from "../catalogue/names.ts"
import { Resources } from "../catalogue/resources.ts"
import { Known } from "../lists/known.ts"

/** A backend of the fleet. */
export interface Found {
  readonly backend: Backend.Backend<Peer.Peer>
  /** the kind of its connector */
  readonly kind: string
}

/** A backend as hosts see it. */
export interface Member extends Found {
  readonly id: string
  readonly mode: "per-client" | "shared"
  readonly tools: View["tools"]
  /** whether a tool is shown, by the name that the server gives it */
  readonly shows: Filter.Filter
}

/** What has become of backends that hosts have lanes to. One that is another now is in both. */
export interface Difference {
  readonly removed: ReadonlyArray<Member>
  readonly added: ReadonlyArray<Member>
  /** whether hosts may see anything else than before */
  readonly isAny: boolean
}

const none: View = {}

/** See the module. */
export class Backends {
  readonly tools = new Names()
  readonly prompts = new Names()
  readonly known: Known
  #members: ReadonlyMap<string, Member> = new Map()
  #resources: Resources | undefined

  /** `changed` is told of every backend of which other lists are known now. */
  constructor(changed: (backend: string) => void) {
    this.known = new Known((backend) => {
      this.#resources = undefined
      changed(backend)
    })
  }

  /** by id, in the order in which they are listed */
  get members(): ReadonlyMap<string, Member> {
    return this.#members
  }

  /** whose resources are whose */
  get resources(): Resources {
    return (this.#resources ??= new Resources(
      Array.from(this.#members.keys(), (backend) => ({ backend, lists: this.known.get(backend) }))
    ))
  }

  /** What was known of a backend in an earlier life. */
  restore(backend: string, lists: Lists): void {
    this.#resources = undefined
    this.known.restore(backend, lists)
  }

  /** These are there now, and to be shown so. */
  update(found: ReadonlyMap<string, Found>, views: ReadonlyMap<string, View>): Difference {
    const before = this.#members
    const members = new Map<string, Member>()
    for (const id of new Set([...views.keys(), ...found.keys()])) {
      const there = found.get(id)
      if (there !== undefined) members.set(id, memberOf(id, there, views.get(id) ?? none, before.get(id)))
    }
    this.#members = members
    this.#resources = undefined
    const [alone, ...others] = members.keys()
    this.tools.alone = this.prompts.alone = others.length === 0 ? alone : undefined
    const isSame = (one: Member, other: Member | undefined) => one.backend === other?.backend && one.mode === other.mode
    const removed = [...before.values()].filter((member) => !isSame(member, members.get(member.id)))
    const added = [...members.values()].filter((member) => !isSame(member, before.get(member.id)))
    for (const { id } of removed) if (!members.has(id)) this.#forget(id)
    const isAny = removed.length > 0 || added.length > 0 || isOther([...before.values()], [...members.values()])
    return { removed, added, isAny }
  }

  #forget(id: string): void {
    this.tools.forget(id)
    this.prompts.forget(id)
    this.known.forget(id)
  }
}

const memberOf = (id: string, found: Found, { session, tools }: View, before: Member | undefined): Member => ({
  id,
  ...found,
  mode: session ?? (found.kind === "stdio" ? "shared" : "per-client"),
  tools,
  // the same one for the same words, by which it is seen that nothing changed
  shows:
    before !== undefined && JSON.stringify(before.tools) === JSON.stringify(tools) ? before.shows : Filter.of(tools)
})

/** Whether order or filters differ. */
const isOther = (before: ReadonlyArray<Member>, now: ReadonlyArray<Member>): boolean =>
  before.length !== now.length || before.some(({ id, shows }, at) => id !== now[at]?.id || shows !== now[at].shows)
