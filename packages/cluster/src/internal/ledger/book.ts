/**
 * The sessions of one backend, for as long as this process keeps it: what begins is written until that is done, what ends is removed.
 */
import type { Connector } from "@vmcp-keepalive/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { randomUUID } from "node:crypto"
import type { Seal } from "./seal.ts"
import type { Table } from "./table.ts"

export interface Book {
  /**
   * What was left by whoever kept the backend before, which may be this process; nothing of it where the storage does not answer, which is asked again the
   * next time.
   */
  readonly left: Effect.Effect<ReadonlyArray<Redacted.Redacted<string>>>
  readonly began: Connector.SessionMemory["began"]
  readonly ended: Connector.SessionMemory["ended"]
  /** Waits until what has begun is written; where the storage does not answer, a second at most. */
  readonly written: Effect.Effect<void>
  /** ids of what has begun and not ended */
  readonly inUse: () => ReadonlyArray<string>
}

export interface Options {
  readonly backend: string
  readonly seal: Seal
  readonly table: Table
}

/** How many sessions of a backend are known at most, and how long what names one may be. */
const most = 16
const longest = 4096

const patience = "1 second"

/** Between two tries to write what has begun, and to remove what has ended: the latter is gone after a while anyway. */
const persistent = Schedule.min([Schedule.exponential("500 millis"), Schedule.spaced("30 seconds")])
const briefly = { schedule: Schedule.spaced("500 millis"), times: 3 }

interface Entry {
  readonly id: string
  /** of one that was left */
  readonly left: Redacted.Redacted<string> | undefined
  readonly written: Deferred.Deferred<void>
  writing: Fiber.Fiber<void> | undefined
}

/** Open until the scope closes, which waits for what is being removed. */
export const make = ({ backend, seal, table }: Options): Effect.Effect<Book, never, Scope.Scope> =>
  Effect.gen(function* () {
    const writing = yield* FiberSet.make<void>()
    const removing = yield* FiberSet.make<void>()
    yield* Effect.addFinalizer(() => Effect.timeoutOption(FiberSet.awaitEmpty(removing), patience))
    const runWriting = yield* FiberSet.runtime(writing)()
    const runRemoving = yield* FiberSet.runtime(removing)()

    // by what names the session, which stays in memory
    const entries = new Map<string, Entry>()
    let isRead = false

    const own = () => [...entries.values()].filter(({ left }) => left === undefined)
    const inUse = () => own().map(({ id }) => id)

    const remove = (ids: ReadonlyArray<string>) => {
      if (ids.length > 0) runRemoving(Effect.ignore(Effect.retry(table.remove(backend, ids), briefly)))
    }
    const end = (text: string) => {
      const entry = entries.get(text)
      if (entry === undefined) return
      entries.delete(text)
      entry.writing?.interruptUnsafe()
      Deferred.doneUnsafe(entry.written, Exit.void)
      remove([entry.id])
    }
    const add = (text: string, entry: Entry) => {
      entries.set(text, entry)
      const oldest = entries.size > most ? entries.keys().next().value : undefined
      if (oldest !== undefined) end(oldest)
    }
    const write = (id: string, session: Redacted.Redacted<string>, written: Entry["written"]) =>
      table.write(backend, { id, session: seal.close(backend, session) }).pipe(
        Effect.tapError(() => Effect.logDebug(`A session of backend "${backend}" is not written to the ledger yet`)),
        Effect.retry(persistent),
        Effect.andThen(Deferred.succeed(written, undefined)),
        Effect.ignore
      )

    const read = Effect.map(table.of(backend), (all) => {
      isRead = true
      const known = new Set(inUse())
      const rows = all.filter(({ id }) => !known.has(id))
      // Those of another key are kept until they are too old: who wrote them may end them yet.
      for (const { id, session } of rows.slice(0, most))
        Option.map(seal.open(backend, session), (left) =>
          add(Redacted.value(left), { id, left, written: Deferred.makeUnsafe(), writing: undefined })
        )
      remove(rows.slice(most).map(({ id }) => id))
    })
    return {
      left: Effect.suspend(() => (isRead ? Effect.void : Effect.ignore(read))).pipe(
        Effect.map(() => [...entries.values()].flatMap(({ left }) => left ?? []))
      ),
      began: (session) => {
        const text = Redacted.value(session)
        if (entries.has(text) || text.length > longest) return
        const written = Deferred.makeUnsafe<void>()
        const id = randomUUID()
        const entry: Entry = { id, left: undefined, written, writing: undefined }
        add(text, entry)
        entry.writing = runWriting(write(id, session, written))
      },
      ended: (session) => end(Redacted.value(session)),
      written: Effect.suspend(() =>
        Effect.forEach(own(), ({ written }) => Deferred.await(written), { concurrency: "unbounded", discard: true })
      ).pipe(Effect.timeoutOption(patience), Effect.asVoid),
      inUse
    }
  })
