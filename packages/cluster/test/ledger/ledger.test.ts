/** What processes write down of sessions, and what the next one finds, on a real database. */
import { assert, describe, it } from "@effect/vitest"
import { Backend } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { Clock, Effect, Exit, Layer, Redacted, Scope } from "effect"
import { SqlClient } from "effect/sql"
import { randomBytes } from "node:crypto"
import * as Ledger from "../../src/internal/ledger/Ledger.ts"
import { remembering } from "../../src/internal/ledger/remembering.ts"
import * as Table from "../../src/internal/ledger/table.ts"
import * as Farm from "../support/farm.ts"
import { type Storage, storages } from "../support/storage.ts"
import { until } from "../support/world.ts"
import { shared } from "../support/shared.ts"
import { beforeAll } from "vitest"
import { clientOf } from "../support/client.ts"

/** that of the suite that runs */
let database: () => Storage

const newKey = () => Redacted.make(randomBytes(32).toString("base64"))
const key = newKey()
const session = (id: string) => Redacted.make(`session ${id}`)
const texts = (sessions: ReadonlyArray<Redacted.Redacted<string>>) => sessions.map(Redacted.value).toSorted()

const pg = Layer.unwrap(Effect.sync(() => clientOf(database().port)))

/** The ledger of a process of its own, with a connection of its own. */
const ledgerOf = (secret = key) =>
  Effect.map(Layer.build(Layer.provide(Ledger.layer(secret), pg)), (context) => Effect.provide(Ledger.Ledger, context))

/** The book of a backend in a process of its own. */
const book = (backend: string, secret = key) =>
  Effect.flatMap(Effect.flatten(ledgerOf(secret)), (ledger) => Effect.flatMap(ledger.of(backend), Effect.fromNullishOr))

interface Row {
  readonly id: string
  readonly backend: string
  readonly session: string
}

const sql = Effect.map(Layer.build(pg), (context) => Effect.provide(SqlClient.SqlClient, context)).pipe(Effect.flatten)

const tableOf = Effect.flatMap(Layer.build(pg), (context) => Effect.provide(Table.make, context))

const rowsOf = (backend: string) =>
  Effect.scoped(
    Effect.flatMap(
      sql,
      (client) => client<Row>`SELECT id, backend, session FROM vmcp_keepalive_sessions WHERE backend = ${backend}`
    )
  )

for (const { missing, name, storage } of storages)
  describe.skipIf(missing !== undefined)(`the ledger on ${name}${missing === undefined ? "" : ` (${missing})`}`, () => {
    const own = shared(storage)
    beforeAll(() => void (database = own))

    it.live("tells the next process of the sessions that another one has, and that process itself of none", () =>
      Effect.gen(function* () {
        const one = yield* book("told")
        one.began(session("a"))
        one.began(session("b"))
        yield* one.written
        assert.deepStrictEqual(yield* one.left, [])
        const two = yield* book("told")
        assert.deepStrictEqual(texts(yield* two.left), ["session a", "session b"])
        assert.deepStrictEqual(yield* (yield* book("other")).left, [])
      })
    )

    it.live("has a session before the first call is made on it, and ends the one that another process left", () =>
      Effect.gen(function* () {
        const farm = yield* Farm.make
        const keep = Effect.gen(function* () {
          const connector = remembering(HttpPeerConnector.make({ url: farm.url("calls") }), yield* book("calls"))
          return yield* Backend.make({ id: "calls", connector, policy: { connect: "lazy" } })
        })
        const known = (backend: Backend.Backend<Peer.Peer>) =>
          backend.use(() => Effect.map(rowsOf("calls"), (rows) => rows.length))
        // it is not ended before this test is
        const first = yield* keep
        assert.strictEqual(yield* known(first), 1)
        const ending = yield* Scope.make()
        const second = yield* Scope.provide(keep, ending)
        yield* known(second)
        const [left, next] = farm.sessions()
        assert.isDefined(left?.ended)
        assert.isAtLeast(next!.from, left!.ended!)
        yield* until("the one that is left is forgotten", rowsOf("calls"), (rows) => rows.length === 1)
        yield* Scope.close(ending, Exit.void)
        assert.isDefined(farm.sessions()[1]?.ended)
        assert.lengthOf(yield* rowsOf("calls"), 0)
      })
    )

    it.live("has no session in the clear", () =>
      Effect.gen(function* () {
        const one = yield* book("secret")
        one.began(session("secret"))
        yield* one.written
        const rows = yield* rowsOf("secret")
        assert.lengthOf(rows, 1)
        assert.notInclude(JSON.stringify(rows), "session secret")
        assert.notInclude(Buffer.from(rows[0]!.session, "base64").toString("latin1"), "session secret")
      })
    )

    it.live("forgets what has ended, whoever began it, also where the process ends with it", () =>
      Effect.gen(function* () {
        const ending = yield* Scope.make()
        const one = yield* Scope.provide(book("ended"), ending)
        for (const id of ["a", "b", "c"]) one.began(session(id))
        yield* one.written
        const two = yield* book("ended")
        assert.lengthOf(yield* two.left, 3)
        two.ended(session("a"))
        one.ended(session("b"))
        yield* Scope.close(ending, Exit.void)
        assert.deepStrictEqual(texts(yield* two.left), ["session b", "session c"])
        yield* until("two are forgotten", rowsOf("ended"), (rows) => rows.length === 1)
        assert.deepStrictEqual(texts(yield* (yield* book("ended")).left), ["session c"])
      })
    )

    it.live("tells the same process of what it left where it keeps the backend again", () =>
      Effect.gen(function* () {
        const ledger = yield* Effect.flatten(ledgerOf())
        const keep = Effect.flatMap(ledger.of("again"), Effect.fromNullishOr)
        const ending = yield* Scope.make()
        const before = yield* Scope.provide(keep, ending)
        before.began(session("a"))
        yield* before.written
        yield* Scope.close(ending, Exit.void)
        const after = yield* keep
        after.began(session("b"))
        yield* after.written
        assert.deepStrictEqual(texts(yield* after.left), ["session a"])
        after.ended(session("a"))
        yield* until("it is forgotten", rowsOf("again"), (rows) => rows.length === 1)
      })
    )

    it.live("removes what nobody has in use once it is too old, also while whoever wrote it goes on", () =>
      Effect.gen(function* () {
        const client = yield* sql
        const table = yield* tableOf
        const ids = ["used", "unused"]
        for (const id of ids) yield* table.write("old", { id, session: id })
        yield* client`UPDATE vmcp_keepalive_sessions SET seen = NOW() - INTERVAL '8 days' WHERE backend = 'old'`
        yield* table.tidy(["used"])
        assert.deepStrictEqual(yield* table.of("old"), [{ id: "used", session: "used" }])
      })
    )

    it.live("says what of all backends is in use, and of what was left that it is not", () =>
      Effect.gen(function* () {
        const one = yield* book("used")
        one.began(session("left"))
        one.began(session("ended"))
        yield* one.written
        const two = yield* book("used")
        assert.lengthOf(yield* two.left, 2)
        assert.deepStrictEqual(two.inUse(), [])
        one.ended(session("ended"))
        assert.lengthOf(one.inUse(), 1)
        const [row] = yield* until("one is left", rowsOf("used"), (rows) => rows.length === 1)
        assert.deepStrictEqual(one.inUse(), row && [row.id])
      })
    )

    it.live("goes by the clock of the storage, whatever that of a process says", () =>
      Effect.gen(function* () {
        const right = yield* Clock.Clock
        const at = (days: number): Clock.Clock => {
          const now = () => right.currentTimeMillisUnsafe() + days * 24 * 3_600_000
          return {
            currentTimeMillisUnsafe: now,
            currentTimeMillis: Effect.sync(now),
            currentTimeNanosUnsafe: () => BigInt(now()) * 1_000_000n,
            currentTimeNanos: Effect.sync(() => BigInt(now()) * 1_000_000n),
            monotonicTimeNanosUnsafe: () => right.monotonicTimeNanosUnsafe(),
            monotonicTimeNanos: right.monotonicTimeNanos,
            sleep: (duration) => right.sleep(duration)
          }
        }
        const [one, two] = yield* Effect.all([tableOf, tableOf])
        for (const days of [-8, 8]) {
          const wrong = Effect.provideService(Clock.Clock, at(days))
          yield* wrong(one.write("clocks", { id: `written ${days}`, session: "a" }))
          yield* two.tidy([])
          yield* one.write("clocks", { id: `tidied ${days}`, session: "a" })
          yield* wrong(two.tidy([]))
        }
        assert.lengthOf(yield* rowsOf("clocks"), 4)
      })
    )

    it.live("remembers the sessions of a backend whose id is long", () =>
      Effect.gen(function* () {
        const id = "x".repeat(300)
        const one = yield* book(id)
        one.began(session("a"))
        yield* one.written
        assert.lengthOf(yield* (yield* book(id)).left, 1)
      })
    )

    it.live("keeps what it cannot read, says nothing of it, and removes it once it is too old", () =>
      Effect.gen(function* () {
        const before = yield* book("rotated")
        before.began(session("a"))
        yield* before.written
        const after = yield* book("rotated", newKey())
        assert.deepStrictEqual(yield* after.left, [])
        assert.lengthOf(yield* rowsOf("rotated"), 1)
        const client = yield* sql
        yield* client`UPDATE vmcp_keepalive_sessions SET seen = NOW() - INTERVAL '6 days' WHERE backend = 'rotated'`
        yield* Effect.scoped(ledgerOf())
        assert.lengthOf(yield* rowsOf("rotated"), 1)
        yield* client`UPDATE vmcp_keepalive_sessions SET seen = NOW() - INTERVAL '8 days' WHERE backend = 'rotated'`
        yield* ledgerOf()
        yield* until("it is removed", rowsOf("rotated"), (rows) => rows.length === 0)
      })
    )

    it.live("has a bounded number of sessions of a backend, and none that is too long", () =>
      Effect.gen(function* () {
        const one = yield* book("many")
        for (let id = 0; id < 20; id++) one.began(session(`${id}`))
        one.began(Redacted.make("x".repeat(5000)))
        yield* one.written
        yield* until("sixteen are left", rowsOf("many"), (rows) => rows.length === 16)
        const two = yield* book("many")
        assert.notInclude(texts(yield* two.left), "session 0")
        assert.include(texts(yield* two.left), "session 19")
        two.began(session("20"))
        yield* two.written
        // of what several have left, too
        const three = yield* book("many")
        assert.lengthOf(yield* three.left, 16)
        yield* until("sixteen are left", rowsOf("many"), (rows) => rows.length === 16)
      })
    )

    it.live("holds back nobody while the storage is away, and has what began when it is back", () =>
      Effect.gen(function* () {
        const left = yield* book("away")
        left.began(session("left"))
        yield* left.written
        const one = yield* book("away")
        yield* database().signal("SIGSTOP")
        const at = performance.now()
        assert.deepStrictEqual(yield* one.left, [])
        one.began(session("a"))
        yield* one.written
        assert.isBelow(performance.now() - at, 4000)
        yield* database().signal("SIGCONT")
        yield* until("it is written", rowsOf("away"), (rows) => rows.length === 2)
        // what could not be read is read the next time
        assert.deepStrictEqual(texts(yield* one.left), ["session left"])
      }).pipe(Effect.ensuring(Effect.suspend(() => database().signal("SIGCONT"))))
    )
  })
