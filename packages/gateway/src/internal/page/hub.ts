/**
 * What is known of all backends: one reader of the fleet, whatever the number of those who look. Changes are gathered for a moment and
 * written once for all of them.
 */
import type { ConnectionState, Fleet, KeepaliveEvent, Lists } from "@vmcp-keepalive/core"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Latch from "effect/Latch"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Clusters from "./cluster.ts"
import * as Readers from "./readers.ts"
import * as Record from "./record.ts"
import * as Row from "./row.ts"
import type { Entry, Mark, Status } from "./wire.ts"
import * as Words from "./words.ts"

/** how long changes are gathered, since few come alone */
const gathering = "10 millis"
/** how long nothing is sent after that: with drawing, a change is seen within 100 ms, and no reader gets more than 17 frames a second */
const pause = "50 millis"
/** how often a reader hears that nothing has happened, so that it can tell silence from a dead connection */
const beat = "10 seconds"
/** how often the fleet is compared, for what a reader of events may have missed */
const comparing = "5 seconds"
/** how often a cluster is looked at: a move is seen within that */
const looking = "2 seconds"
/** how many backends are asked at a time for what they list */
const atATime = 64
/** how many lines are kept of what happened to all backends */
export const logLimit = 200

/** What the page needs of a fleet. */
export type Source = Pick<Fleet.Fleet<unknown>, "changes" | "events" | "get" | "states">

/** Something of the outside that happened to a backend. */
export interface MarkOf extends Mark {
  readonly backend: string
}

export interface Details {
  readonly history: ReadonlyArray<Entry>
  readonly lists: Lists.Lists
}

export interface Hub {
  readonly status: Effect.Effect<Status>
  readonly details: (id: string) => Effect.Effect<Option.Option<Details>>
  /** A reader of events as bytes of `text/event-stream`; `undefined` where there are too many. */
  readonly open: Effect.Effect<Readers.Frames | undefined, never, Scope.Scope>
  readonly readers: () => number
}

/** What is told beside it. */
export interface Options {
  /** of calls in sessions that are not the fleet's own */
  readonly calls?: Stream.Stream<KeepaliveEvent.KeepaliveEvent> | undefined
  readonly marks?: Stream.Stream<MarkOf> | undefined
  /** where the gateway is one of several */
  readonly cluster?: Clusters.Source | undefined
}

export const make = (
  fleet: Source,
  { calls = Stream.empty, cluster: source, marks = Stream.empty }: Options = {}
): Effect.Effect<Hub, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = (): number => clock.currentTimeMillisUnsafe()
    const records = new Map<string, Record.Record>()
    const log: Array<Entry> = []
    const readers = Readers.make()
    const due = Latch.makeUnsafe(false)
    const cluster = source && new Clusters.Cluster(source, now)

    // what has changed since the last frame
    const dirty = new Set<string>()
    const fresh: Array<Entry> = []
    let isReordered = false
    let seq = 0
    let told = 0
    let snapshot: Uint8Array | undefined

    const touch = (id: string): void => {
      dirty.add(id)
      snapshot = undefined
      due.openUnsafe()
    }

    const tell = (record: Record.Record, at: number, { important, text, tone }: Words.Told): void => {
      const entry = { seq: ++told, at, backend: record.id, text, tone, important }
      Record.remember(record, entry)
      for (const entries of [log, fresh]) {
        entries.push(entry)
        if (entries.length > logLimit) entries.shift()
      }
      touch(record.id)
    }

    const add = (id: string, state: ConnectionState.ConnectionState): Effect.Effect<void> =>
      Effect.gen(function* () {
        const backend = Option.getOrUndefined(yield* fleet.get(id))
        if (backend === undefined) return
        const { connector } = yield* backend.source
        const { required } = yield* backend.policy
        const { tools } = yield* backend.lists
        if (records.has(backend.id)) return
        records.set(
          backend.id,
          Record.make({ id: backend.id, kind: connector.kind, required, state, tools: tools.length, now: now() })
        )
        isReordered = true
        touch(backend.id)
      })

    const remove = (id: string): void => {
      if (!records.delete(id)) return
      isReordered = true
      touch(id)
    }

    /** Makes the records what the fleet is: members, their order and their states. */
    const compare = Effect.gen(function* () {
      const states = yield* fleet.states
      const missing = [...states].filter(([id]) => !records.has(id))
      // what each lists may have to come from elsewhere
      yield* Effect.forEach(missing, ([id, state]) => add(id, state), { concurrency: atATime, discard: true })
      for (const id of records.keys()) if (!states.has(id)) remove(id)
      for (const [id, state] of states) {
        const record = records.get(id)
        if (record === undefined) continue
        if (record.state._tag !== state._tag || record.state.since !== state.since) {
          Record.enter(record, state, state.since)
          touch(id)
        } else if (record.state !== state) {
          record.state = state
          touch(id)
        }
      }
      const order = [...states.keys()]
      if ([...records.keys()].every((id, at) => id === order[at])) return
      const sorted = order.flatMap((id) => records.get(id) ?? [])
      records.clear()
      for (const record of sorted) records.set(record.id, record)
      isReordered = true
      snapshot = undefined
      due.openUnsafe()
    })

    const take = (event: KeepaliveEvent.KeepaliveEvent): Effect.Effect<void> | undefined => {
      const record = records.get(event.backend)
      if (record === undefined) return undefined
      if (Record.take(record, event)) touch(record.id)
      const line = Words.tell(event)
      if (line !== undefined) tell(record, event.at, line)
      if (event._tag === "Reconfigured" && event.connection) {
        return Effect.map(kindOf(fleet, record.id), (kind) => {
          record.kind = kind ?? record.kind
          touch(record.id)
        })
      }
      if (event._tag !== "ListChanged" || event.kind !== "tools") return undefined
      return Effect.map(toolsOf(fleet, record.id), (tools) => {
        record.tools = tools
        touch(record.id)
      })
    }

    /** Looks at the cluster, and tells which backends have moved. */
    const look =
      cluster === undefined
        ? Effect.void
        : Effect.map(cluster.look, () => {
            for (const record of records.values()) {
              const owner = cluster.ownerOf(record.id)
              if (owner === undefined || record.owner === owner) continue
              if (Record.keep(record, owner)) {
                const line = Words.kept(owner)
                if (owner !== null) Record.mark(record, { at: now(), label: line.text })
                tell(record, now(), line)
              }
              touch(record.id)
            }
            snapshot = undefined
          })
    const inCluster = () => (cluster?.seen === undefined ? {} : { cluster: cluster.seen })

    const order = (): ReadonlyArray<string> => [...records.keys()]
    const rowOf = (id: string) => {
      const record = records.get(id)
      return record === undefined ? [] : [Row.of(record, now())]
    }

    const snapshotNow = (): Uint8Array =>
      (snapshot ??= frame("snapshot", seq, {
        at: now(),
        order: order(),
        rows: order().flatMap(rowOf),
        log,
        ...inCluster()
      }))

    const flush = Effect.gen(function* () {
      yield* due.await
      yield* Effect.sleep(gathering)
      due.closeUnsafe()
      seq++
      const rows = [...dirty].flatMap(rowOf)
      const changed = { at: now(), rows, log: [...fresh], ...(isReordered ? { order: order() } : {}) }
      dirty.clear()
      fresh.length = 0
      isReordered = false
      if (readers.size() > 0) readers.send(frame("changes", seq, changed))
      yield* Effect.sleep(pause)
    })

    for (const events of [fleet.events, calls])
      yield* events.pipe(
        Stream.runForEach((event) => take(event) ?? Effect.void),
        Effect.forkScoped({ startImmediately: true })
      )
    yield* fleet.changes.pipe(
      Stream.runForEach((change) => {
        if (change._tag === "Replaced") return Effect.void
        return compare
      }),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* compare
    yield* compare.pipe(Effect.delay(comparing), Effect.forever, Effect.forkScoped)
    if (cluster !== undefined)
      yield* look.pipe(
        Effect.andThen(Effect.sync(() => readers.send(frame("cluster", seq, { at: now(), ...inCluster() })))),
        Effect.andThen(Effect.sleep(looking)),
        Effect.forever,
        Effect.forkScoped
      )
    yield* marks.pipe(
      Stream.runForEach(({ at, backend, label }) =>
        Effect.sync(() => {
          const record = records.get(backend)
          if (record === undefined) return
          Record.mark(record, { at, label })
          tell(record, at, { text: label, tone: "off", important: false })
        })
      ),
      Effect.forkScoped({ startImmediately: true })
    )
    yield* flush.pipe(Effect.forever, Effect.forkScoped)
    yield* Effect.sync(() => readers.send(frame("beat", seq, { at: now() }))).pipe(
      Effect.delay(beat),
      Effect.forever,
      Effect.forkScoped
    )

    return {
      status: Effect.map(Effect.andThen(compare, look), () => {
        const backends = order().flatMap(rowOf)
        return {
          at: now(),
          total: backends.length,
          attention: backends.filter(({ attention }) => attention).length,
          backends,
          ...inCluster()
        }
      }),
      details: (id) =>
        Effect.map(
          fleet.get(id),
          Option.flatMap(() => Option.fromUndefinedOr(records.get(id)))
        ).pipe(
          Effect.flatMap(
            Option.match({
              onNone: () => Effect.succeed(Option.none<Details>()),
              onSome: ({ history }) =>
                Effect.map(listsOf(fleet, id), (lists) => Option.some({ history: [...history], lists }))
            })
          )
        ),
      open: Effect.flatMap(compare, () => readers.open(snapshotNow)),
      readers: readers.size
    }
  })

const none: Lists.Lists = { tools: [], prompts: [], resources: [] }

const listsOf = (fleet: Source, id: string): Effect.Effect<Lists.Lists> =>
  Effect.flatMap(
    fleet.get(id),
    Option.match({ onNone: () => Effect.succeed(none), onSome: (backend) => backend.lists })
  )

/** `undefined` where it is there no longer. */
const kindOf = (fleet: Source, id: string): Effect.Effect<string | undefined> =>
  Effect.flatMap(
    fleet.get(id),
    Option.match({
      onNone: () => Effect.undefined,
      onSome: (backend) => Effect.map(backend.source, ({ connector }) => connector.kind)
    })
  )

const toolsOf = (fleet: Source, id: string): Effect.Effect<number> =>
  Effect.map(listsOf(fleet, id), ({ tools }) => tools.length)

const encoder = new TextEncoder()

/** An event of a stream of events. JSON holds no line break. */
const frame = (event: string, id: number, data: unknown): Uint8Array =>
  encoder.encode(`event: ${event}\nid: ${id}\ndata: ${JSON.stringify(data)}\n\n`)
