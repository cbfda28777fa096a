/** Processes, sockets and a storage: who keeps what, and who takes it over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Session } from "./support/farm.ts"
import { make, type Replica, until, type World } from "./support/world.ts"
import { shared } from "./support/shared.ts"

const lease = 4000
const database = shared()

const open = ({ farm }: World) => farm.sessions().filter(({ ended }) => ended === undefined)
const named = ({ backend, replica }: Session) => `${backend} ${replica}`

/** Waits until these replicas keep everything between them, each its part, and returns whose each is. */
const settled = (world: World, replicas: ReadonlyArray<Replica>) =>
  until(
    `${replicas.length} keep all`,
    world.owners(replicas[0]!),
    (owners) =>
      owners.size === world.ids.length &&
      replicas.every(({ address }) => [...owners.values()].includes(address)) &&
      new Set(owners.values()).size === replicas.length
  )

const world = (replicas: number, backends = 12) =>
  Effect.gen(function* () {
    const made = yield* make({ storage: database(), backends, lease })
    const all = yield* Effect.all(
      Array.from({ length: replicas }, () => made.replica),
      { concurrency: "unbounded" }
    )
    return { world: made, replicas: all, owners: yield* settled(made, all) }
  })

describe("a cluster of several processes", () => {
  it.live("keeps each backend in exactly one of them, also where one comes later", () =>
    Effect.gen(function* () {
      const { replicas, world: made } = yield* world(1)
      const later = yield* made.replica
      const owners = yield* settled(made, [...replicas, later])
      yield* until(
        "each server has one session, of its owner",
        Effect.sync(() => open(made).map(named).toSorted()),
        (sessions) =>
          sessions.join() ===
          [...owners]
            .map(([id, owner]) => `${id} ${owner}`)
            .toSorted()
            .join()
      )
      // it sees what the first one sees
      assert.deepStrictEqual(yield* made.owners(later), owners)
    })
  )

  it.live("gives what a killed process kept to others within the lease and a second", () =>
    Effect.gen(function* () {
      const { owners, replicas, world: made } = yield* world(2)
      const [killed, other] = replicas as [Replica, Replica]
      const lost = [...owners].flatMap(([id, owner]) => (owner === killed.address ? [id] : []))
      assert.isAbove(lost.length, 0)
      const at = Date.now()
      yield* killed.signal("SIGKILL")
      yield* settled(made, [other])
      const taken = made.farm
        .sessions()
        .filter(({ backend, from, replica }) => lost.includes(backend) && from > at && replica === other.address)
      const slowest = Math.max(...taken.map(({ from }) => from - at))
      assert.strictEqual(taken.length, lost.length)
      assert.isBelow(slowest, lease + 1000)
      // what the other one kept was not touched
      const kept = made.farm
        .sessions()
        .filter(({ backend, replica }) => !lost.includes(backend) && replica === other.address)
      assert.strictEqual(kept.length, made.ids.length - lost.length)
    })
  )

  it.live("hands over what a process keeps that ends in order: its sessions end before others begin", () =>
    Effect.gen(function* () {
      const { owners, replicas, world: made } = yield* world(2)
      const [leaving, other] = replicas as [Replica, Replica]
      const lost = [...owners].flatMap(([id, owner]) => (owner === leaving.address ? [id] : []))
      const at = Date.now()
      yield* leaving.signal("SIGTERM")
      yield* settled(made, [other])
      for (const id of lost) {
        // it may have been another one's before both were there
        const [before, after] = made.farm
          .sessions()
          .filter(({ backend }) => backend === id)
          .slice(-2)
        assert.isDefined(before?.ended)
        assert.isAtLeast(after!.from, before!.ended!)
        // handed over, and not waited for: long before its lease would have ended
        assert.isBelow(after!.from - at, lease - 1000)
      }
      yield* leaving.exited
      assert.strictEqual(open(made).length, made.ids.length)
    })
  )

  it.live("is seen and operated from each process, wherever a backend is kept", () =>
    Effect.gen(function* () {
      const { owners, replicas, world: made } = yield* world(2)
      const [one, two] = replicas as [Replica, Replica]
      for (const from of [one, two])
        for (const owner of [one, two]) {
          const id = [...owners].find(([, address]) => address === owner.address)![0]
          assert.strictEqual(yield* from.ask({ ask: "command", id, command: "probe" }), "Connected")
          assert.strictEqual(yield* from.ask({ ask: "command", id, command: "isolate" }), "Isolated")
          assert.strictEqual(yield* Effect.flip(from.ask({ ask: "command", id, command: "reconnect" })), "CallRejected")
          assert.strictEqual(
            yield* Effect.flip(from.ask({ ask: "command", id, command: "probe" })),
            "SessionUnavailable"
          )
          yield* from.ask({ ask: "command", id, command: "reset" })
          yield* settled(made, replicas)
          const events = yield* until(
            "each hears of it",
            Effect.map(
              Effect.all([one.ask({ ask: "events" }), two.ask({ ask: "events" })]),
              (heard) => heard as ReadonlyArray<ReadonlyArray<string>>
            ),
            (heard) => heard.every((all) => all.includes(`${id} SessionClosed`))
          )
          assert.strictEqual(events.length, 2)
        }
    })
  )

  it.live("lists other backends where each process is told so, and those that did not change keep their sessions", () =>
    Effect.gen(function* () {
      const { replicas, world: made } = yield* world(2)
      const before = made.farm.sessions().length
      const [gone, ...rest] = made.ids
      const backends = Object.fromEntries([...rest, "another"].map((id) => [id, made.farm.url(id)]))
      for (const replica of replicas)
        assert.deepStrictEqual(yield* replica.ask({ ask: "apply", backends }), [`Removed ${gone}`, "Added another"])
      yield* until(
        "another is kept",
        made.owners(replicas[0]!),
        (owners) => owners.has("another") && !owners.has(gone!) && owners.size === made.ids.length
      )
      assert.strictEqual(made.farm.sessions().length, before + 1)
      assert.isDefined(made.farm.sessions().find(({ backend }) => backend === gone)?.ended)
    })
  )

  it.live("lets a process that was frozen do nothing more with what others have taken", () =>
    Effect.gen(function* () {
      const { owners, replicas, world: made } = yield* world(2)
      const [frozen, other] = replicas as [Replica, Replica]
      const lost = [...owners].flatMap(([id, owner]) => (owner === frozen.address ? [id] : []))
      yield* frozen.signal("SIGSTOP")
      yield* settled(made, [other])
      const taken = new Map(
        made.farm
          .sessions()
          .flatMap(({ backend, from, replica }) =>
            lost.includes(backend) && replica === other.address ? [[backend, from] as const] : []
          )
      )
      assert.sameMembers([...taken.keys()], lost)
      yield* frozen.signal("SIGCONT")
      // it takes part again, with what is given to it anew
      yield* settled(made, replicas)
      for (const { backend, from, lastAsked, replica } of made.farm.sessions())
        if (replica === frozen.address && from < taken.get(backend)!)
          assert.isBelow(lastAsked, taken.get(backend)!, `${backend} was asked by its former owner`)
    })
  )

  it.live("keeps every session while the storage is away for less than the lease", () =>
    Effect.gen(function* () {
      const { replicas, world: made } = yield* world(2)
      const sessions = made.farm.sessions().length
      yield* database().signal("SIGSTOP")
      yield* Effect.sleep(lease / 2)
      yield* database().signal("SIGCONT")
      yield* Effect.sleep(lease)
      yield* settled(made, replicas)
      assert.strictEqual(made.farm.sessions().length, sessions)
    })
  )

  it.live("ends every session while its lease lasts where the storage stays away, and comes back with it", () =>
    Effect.gen(function* () {
      const { replicas, world: made } = yield* world(2)
      const before = open(made)
      const at = Date.now()
      yield* database().signal("SIGSTOP")
      yield* until(
        "all are ended",
        Effect.sync(() => open(made).length),
        (count) => count === 0
      )
      assert.isBelow(Math.max(...before.map(({ ended }) => ended! - at)), lease)
      yield* database().signal("SIGCONT")
      yield* settled(made, replicas)
      assert.strictEqual(open(made).length, made.ids.length)
    }).pipe(Effect.ensuring(Effect.suspend(() => database().signal("SIGCONT"))))
  )
})
