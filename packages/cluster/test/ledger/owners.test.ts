/** What the owner of a backend leaves at its server when it is killed or frozen, and what the next one does with it. */
import { assert, describe, it } from "@effect/vitest"
import { ProcessGroups, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Layer } from "effect"
import { SqlClient } from "effect/sql"
import { randomBytes } from "node:crypto"
import * as SingleSession from "../support/singleSession.ts"
import { make, type Replica, until, type World } from "../support/world.ts"
import { shared } from "../support/shared.ts"
import { clientOf } from "../support/client.ts"

const lease = 4000
/** of each test: processes come and go, and leases run out */
const within = 120_000
const database = shared()

/** Waits until these replicas keep everything between them, each a part. */
const settled = (world: World, replicas: ReadonlyArray<Replica>) =>
  until(
    `${replicas.length} keep all`,
    world.owners(replicas[0]!),
    (owners) =>
      owners.size === world.ids.length &&
      replicas.every(({ address }) => [...owners.values()].includes(address)) &&
      new Set(owners.values()).size === replicas.length
  )

/** Two replicas, and ten servers that allow one session each; the first replica has five of them at least. */
const world = (sessionLedger: string | undefined) =>
  Effect.gen(function* () {
    const servers = yield* SingleSession.make
    const ids = Array.from({ length: 10 }, (_, index) => `single-${index}`)
    const backends = Object.fromEntries(ids.map((id) => [id, servers.url(id)]))
    const made = yield* make({
      storage: database(),
      backends: 0,
      lease,
      servers: { backends },
      options: { sessionLedger }
    })
    const replicas = yield* Effect.all([made.replica, made.replica], { concurrency: "unbounded" })
    const owners = yield* settled(made, replicas)
    const kept = ({ address }: Replica) => [...owners].flatMap(([id, owner]) => (owner === address ? [id] : []))
    const [first, other] = kept(replicas[0]).length >= 5 ? replicas : replicas.toReversed()
    return { servers, made, first: first!, other: other!, lost: kept(first!) }
  })

const newKey = () => randomBytes(32).toString("base64")

const everything = Effect.gen(function* () {
  const sql = yield* SqlClient.SqlClient
  return yield* sql<{ readonly session: string }>`SELECT id, backend, session FROM vmcp_keepalive_sessions`
}).pipe(Effect.provide(Layer.unwrap(Effect.sync(() => clientOf(database().port)))))

describe("a server that allows one session only", () => {
  it.live(
    "has one of the next owner within the lease and a second after its owner was killed",
    () =>
      Effect.gen(function* () {
        const { first, lost, made, other, servers } = yield* world(newKey())
        assert.isAtLeast(lost.length, 5)
        const at = Date.now()
        yield* first.signal("SIGKILL")
        yield* settled(made, [other])
        const back = servers
          .opened()
          .filter(
            ({ backend, replica, at: began }) => began > at && lost.includes(backend) && replica === other.address
          )
        const slowest = Math.max(...back.map(({ at: began }) => began - at))
        console.log(`measured: ${back.length} of ${lost.length} servers of one session back after ${slowest} ms`)
        assert.strictEqual(back.length, lost.length)
        assert.isBelow(slowest, lease + 1000)
        // and it can be used
        for (const id of lost) yield* other.ask({ ask: "call", id, tag: "" })
      }),
    within
  )

  it.live(
    "refuses the next owner where no sessions are remembered",
    () =>
      Effect.gen(function* () {
        const { first, lost, made, other, servers } = yield* world(undefined)
        const at = Date.now()
        const since = (all: ReadonlyArray<{ readonly backend: string; readonly at: number }>) =>
          new Set(all.flatMap(({ at: when, backend }) => (when > at && lost.includes(backend) ? [backend] : [])))
        yield* first.signal("SIGKILL")
        yield* until(
          "each has refused the next owner",
          Effect.sync(() => since(servers.refused()).size),
          (refused) => refused === lost.length
        )
        assert.strictEqual(since(servers.opened()).size, 0)
        const owners = yield* made.owners(other)
        assert.isTrue(lost.every((id) => !owners.has(id)))
      }),
    within
  )

  it.live(
    "is taken from an owner that is frozen, whose session the next one ends",
    () =>
      Effect.gen(function* () {
        const { first, lost, made, other, servers } = yield* world(newKey())
        const at = Date.now()
        yield* first.signal("SIGSTOP")
        yield* settled(made, [other])
        for (const id of lost) {
          const [before, after] = servers
            .opened()
            .filter(({ backend }) => backend === id)
            .slice(-2)
          assert.strictEqual(before?.ended?.by, other.address)
          assert.strictEqual(after?.replica, other.address)
          assert.isAtLeast(after!.at, before!.ended!.at)
          assert.isAbove(before!.ended!.at, at)
        }
        yield* first.signal("SIGCONT")
        // it takes part again
        yield* settled(made, [first, other])
      }),
    within
  )

  it.live(
    "keeps its session to itself: the ledger has it encrypted, and has nothing once it has ended in order",
    () =>
      Effect.gen(function* () {
        const key = newKey()
        const { first, made, other, servers } = yield* world(key)
        const rows = yield* everything
        assert.isAtLeast(rows.length, made.ids.length)
        const readable = rows.map((row) => JSON.stringify(row) + Buffer.from(row.session, "base64").toString("latin1"))
        for (const id of servers.sessionIds()) assert.isFalse(readable.some((text) => text.includes(id)))
        const before = new Set(rows.map(({ session }) => session))
        for (const replica of [first, other]) {
          yield* replica.signal("SIGTERM")
          yield* replica.exited
        }
        const open = servers.opened().filter(({ ended }) => ended === undefined)
        assert.deepStrictEqual(open, [])
        assert.deepStrictEqual(
          (yield* everything).filter(({ session }) => before.has(session)),
          []
        )
      }),
    within
  )
})

describe("a child process", () => {
  it.live(
    "is gone with its owner that was killed, also where it ignores its end, and before the next owner starts one",
    () =>
      Effect.gen(function* () {
        const children = yield* Effect.all(
          Array.from({ length: 6 }, (_, index) =>
            StdioServers.scripted(index % 2 === 0 ? {} : { ignoreEof: true, ignoreTerm: true })
          )
        )
        const ids = children.map((_, index) => `child-${index}`)
        const commands = Object.fromEntries(
          children.map(({ args, command }, index) => [ids[index], [command, ...args] as const])
        )
        const made = yield* make({ storage: database(), backends: 0, lease, servers: { commands } })
        const replicas = yield* Effect.all([made.replica, made.replica], { concurrency: "unbounded" })
        const owners = yield* settled(made, replicas)
        const killed = replicas[0]
        const lost = children.filter((_, index) => owners.get(ids[index]!) === killed.address)
        const before = yield* Effect.forEach(lost, ({ pids }) => Effect.map(pids, (all) => all.at(-1) ?? 0))
        assert.isTrue(before.every((pid) => ProcessGroups.members(pid).length > 0))
        yield* killed.signal("SIGKILL")
        const two = yield* Effect.forEach(
          lost,
          ({ pids }, index) =>
            until("another one is started", pids, (all) => all.at(-1) !== before[index]).pipe(
              Effect.map(() => ProcessGroups.members(before[index]!).length)
            ),
          { concurrency: "unbounded" }
        )
        assert.deepStrictEqual(
          two,
          lost.map(() => 0)
        )
        yield* settled(made, [replicas[1]])
      }),
    within
  )
})
