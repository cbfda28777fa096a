/**
 * The merged lists that one host gets. Backends that are connected are asked, each for a bounded time and beside each other; of the
 * others is told what is known, so that none holds back another.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { capabilities, type Entry, type Kind, textOf } from "../catalogue/kinds.ts"
import { merge } from "../catalogue/resources.ts"
import type { Backends, Member } from "../lanes/backends.ts"
import type { Lane } from "../lanes/lane.ts"
import * as Reading from "../lists/reading.ts"
import * as Answers from "./answers.ts"

type RpcError = Message.ErrorAnswer["error"]

/** See the module. */
export class Listing {
  readonly #backends: Backends
  readonly #lanes: ReadonlyMap<string, Lane>
  readonly #wait: Duration.Duration
  /** what this host has listed since something changed */
  readonly #listed = new Set<Kind>()
  /** counts what has changed */
  #version = 0

  constructor(backends: Backends, lanes: ReadonlyMap<string, Lane>, wait: Duration.Duration) {
    this.#backends = backends
    this.#lanes = lanes
    this.#wait = wait
  }

  /** Lists that were read may be others now. */
  changed(): void {
    this.#version++
    this.#listed.clear()
  }

  /** Whether any of them was not read for this host since something changed. */
  isOutdated(kinds: ReadonlyArray<Kind>): boolean {
    return kinds.some((kind) => !this.#listed.has(kind))
  }

  /** Waits for those that can be expected to connect soon. */
  get connected(): Effect.Effect<void> {
    return Effect.forEach(
      this.#lanes.values(),
      (lane) => Effect.flatMap(this.#isExpected(lane), (is) => (is ? lane.connected : Effect.void)),
      { concurrency: "unbounded", discard: true }
    )
  }

  /** The answer to a request for a list. All is on one page, so that there is no cursor to be had. */
  answer(kind: Kind, params: Message.Params | undefined): Effect.Effect<Message.Result, RpcError> {
    if (params?.["cursor"] !== undefined) return Effect.fail(Answers.invalidParams("There is no such cursor"))
    return Effect.map(this.refresh(kind), (entries) => ({ [kind]: entries }))
  }

  /** What the backends list now. `each` runs when one has said so, or is no longer waited for; where it fails, no other is waited for. */
  refresh<E = never>(
    kind: Kind,
    each: Effect.Effect<unknown, E> = Effect.void
  ): Effect.Effect<ReadonlyArray<Entry>, E> {
    return Effect.suspend(() => {
      const version = this.#version
      return Effect.map(
        Effect.forEach(
          this.#backends.members.values(),
          (member) =>
            this.#of(member, kind).pipe(
              Effect.map((entries) => [member.id, this.#shown(kind, member, entries)] as const),
              Effect.tap(each)
            ),
          { concurrency: "unbounded" }
        ),
        (lists) => {
          if (version === this.#version) this.#listed.add(kind)
          return this.#merged(kind, lists)
        }
      )
    })
  }

  #merged(
    kind: Kind,
    lists: ReadonlyArray<readonly [id: string, entries: ReadonlyArray<Entry>]>
  ): ReadonlyArray<Entry> {
    if (kind === "tools" || kind === "prompts") return lists.flatMap(([, entries]) => entries)
    return merge(lists, kind === "resources" ? "uri" : "uriTemplate").entries
  }

  /** What one backend has, as hosts see it. From then on it is known whose the names are. */
  #shown(kind: Kind, { id, shows }: Member, entries: ReadonlyArray<Entry>): ReadonlyArray<Entry> {
    if (kind !== "tools" && kind !== "prompts") return entries
    const names = this.#backends[kind]
    return entries.flatMap((entry) => {
      const name = textOf(entry, "name")
      return name === undefined || (kind === "tools" && !shows(name)) ? [] : [{ ...entry, name: names.shown(id, name) }]
    })
  }

  /** The list of one backend: as it says now, or as it is known. */
  #of({ id }: Member, kind: Kind): Effect.Effect<ReadonlyArray<Entry>> {
    const lane = this.#lanes.get(id)
    const known = this.#backends.known.get(id)[kind]
    if (lane === undefined) return Effect.succeed(known ?? [])
    return Effect.flatMap(this.#isToBeAsked(lane, known !== undefined), (isToBeAsked) =>
      isToBeAsked ? this.#asked(lane, kind) : Effect.succeed(known ?? [])
    )
  }

  #asked(lane: Lane, kind: Kind): Effect.Effect<ReadonlyArray<Entry>> {
    const read = Effect.gen({ self: this }, function* () {
      // of one that is not there yet, what it can is not known
      if (lane.server === undefined) yield* lane.connected
      if (lane.server !== undefined && lane.server.capabilities[capabilities[kind]] === undefined) return []
      const entries = yield* Reading.reading(kind, (method, params, signal) => page(lane, method, params, signal))
      this.#backends.known.set(lane.id, kind, entries, "host")
      return entries
    })
    return Effect.map(
      Effect.option(Effect.timeoutOption(read, this.#wait)),
      (read) => Option.getOrUndefined(Option.flatten(read)) ?? this.#backends.known.get(lane.id)[kind] ?? []
    )
  }

  /** One that has not connected yet is waited for where nothing is known of it. */
  #isToBeAsked(lane: Lane, isKnown: boolean): Effect.Effect<boolean> {
    return Effect.map(
      lane.backend.state,
      ({ _tag }) =>
        isOpen.has(_tag) || (!isKnown && (_tag === "Idle" || _tag === "Connecting" || _tag === "Disconnected"))
    )
  }

  /** Not those that connect when they are needed, and not those that are known to be down. */
  #isExpected(lane: Lane): Effect.Effect<boolean> {
    const member = this.#backends.members.get(lane.id)
    return Effect.map(
      Effect.zip(lane.backend.state, member?.backend.state ?? lane.backend.state),
      ([own, ofMember]) =>
        own._tag !== "Idle" &&
        (isOpen.has(ofMember._tag) ||
          ofMember._tag === "Idle" ||
          (ofMember._tag === "Connecting" && ofMember.reason === undefined))
    )
  }
}

const isOpen: ReadonlySet<string> = new Set(["Connected", "Unhealthy"])

/** Rejects with what answers it where that is an error. */
const page = (
  lane: Lane,
  method: string,
  params: Message.Params | undefined,
  signal: AbortSignal
): Promise<Message.Result> =>
  new Promise((resolve, reject) => {
    const cancel = lane.ask(method, params, (outcome) => {
      signal.removeEventListener("abort", aborted)
      if ("result" in outcome) resolve(outcome.result)
      else reject(new Error(`The server answered with error ${outcome.error.code}`))
    })
    const aborted = () => {
      cancel()
      reject(signal.reason)
    }
    signal.addEventListener("abort", aborted, { once: true })
  })
