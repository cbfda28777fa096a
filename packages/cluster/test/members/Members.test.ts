/** Who takes part, and which part of the limits of all each of them has. */
import { assert, describe, it } from "@effect/vitest"
import type { Connector } from "@vmcp-keepalive/core"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { Duration, Effect, Layer } from "effect"
import { ClusterError, Runner, RunnerAddress, RunnerStorage } from "effect/cluster"
import { TestClock } from "effect/testing"
import * as Members from "../../src/internal/members/Members.ts"
import { shareOf } from "../../src/internal/members/share.ts"
import { withSharedOrigin } from "../../src/internal/members/sharedOrigin.ts"

const lease = Duration.seconds(15)
const addressOf = (host: string) => RunnerAddress.RunnerAddress.make({ host, port: 1 })
const runnerOf = (host: string) => Runner.Runner.make({ address: addressOf(host), groups: ["default"], weight: 1 })
const own = { host: "b", port: 1 }
const away = new ClusterError.PersistenceError({ cause: "away" })

/** A storage that answers with these, `undefined` while it is away; `!` stands behind one that is not healthy. */
const world = Effect.gen(function* () {
  const answer: { hosts: ReadonlyArray<string> | undefined } = { hosts: ["b"] }
  const inner = Layer.effect(
    RunnerStorage.RunnerStorage,
    Effect.map(RunnerStorage.makeMemory, (memory) =>
      RunnerStorage.RunnerStorage.of({
        ...memory,
        getRunners: Effect.suspend(() =>
          answer.hosts === undefined
            ? Effect.fail(away)
            : Effect.succeed(
                answer.hosts.map((host) => [runnerOf(host.replace("!", "")), !host.endsWith("!")] as const)
              )
        )
      })
    )
  )
  const members = Members.make({ address: own })
  const storage = yield* Effect.provide(
    Effect.service(RunnerStorage.RunnerStorage),
    Members.layer({ address: own, lease }).pipe(
      Layer.provide(inner),
      Layer.provide(Layer.succeed(Members.Members, members))
    )
  )
  const hosts = Effect.map(storage.getRunners, (all) => all.map(([{ address }]) => address.host).toSorted())
  return { answer, hosts, members, storage }
})

describe("a share", () => {
  it("is all of it for one alone, sums up to it with several, and is one where there are more than that", () => {
    for (const total of [1, 2, 7, 8, 64])
      for (const count of [1, 2, 3, 5, 8, 50]) {
        const shares = Array.from({ length: count }, (_, index) => shareOf(total, index, count))
        const sum = shares.reduce((all, share) => all + share, 0)
        assert.strictEqual(sum, Math.max(total, count), `${total} of ${count}`)
        assert.isAtMost(Math.max(...shares) - Math.min(...shares), 1)
      }
  })
})

describe("the members", () => {
  it.effect("are those whom the storage has, healthy ones, and this one in any case", () =>
    Effect.gen(function* () {
      const { answer, hosts, members } = yield* world
      assert.strictEqual(members.share(8), 8)
      for (const [listed, share] of [
        [["a", "b", "c"], 3],
        [["c", "b"], 4],
        [["a", "b", "c!"], 4],
        [["a"], 4],
        [["b!"], 8],
        [[], 8]
      ] as const) {
        answer.hosts = listed
        yield* hosts
        assert.strictEqual(members.share(8), share, String(listed))
      }
    })
  )

  it.effect("are told to the engine as the storage has them, also after a short time without it", () =>
    Effect.gen(function* () {
      const { answer, hosts, storage } = yield* world
      answer.hosts = ["a", "b", "c"]
      yield* hosts
      answer.hosts = undefined
      yield* Effect.flip(storage.getRunners)
      yield* TestClock.adjust("7 seconds")
      answer.hosts = ["b"]
      assert.deepStrictEqual(yield* hosts, ["b"])
    })
  )

  it.effect("are not gone because nothing was asked for long: only a storage that failed says that", () =>
    Effect.gen(function* () {
      const { answer, hosts } = yield* world
      answer.hosts = ["a", "b"]
      yield* hosts
      yield* TestClock.adjust("1 minute")
      answer.hosts = ["b"]
      assert.deepStrictEqual(yield* hosts, ["b"])
    })
  )

  it.effect(
    "that were there before the storage went away for long are counted for a lease after it, but for this one",
    () =>
      Effect.gen(function* () {
        const { answer, hosts, members, storage } = yield* world
        answer.hosts = ["a", "b", "c"]
        yield* hosts
        answer.hosts = undefined
        yield* Effect.flip(storage.getRunners)
        yield* TestClock.adjust("20 seconds")
        yield* Effect.flip(storage.getRunners)
        assert.strictEqual(members.share(9), 3)

        // this process is not there before it has said so itself, which it does where it is not found
        answer.hosts = []
        assert.deepStrictEqual(yield* hosts, ["a", "c"])
        answer.hosts = ["b", "d"]
        assert.deepStrictEqual(yield* hosts, ["a", "b", "c", "d"])
        assert.strictEqual(members.share(8), 2)
        // once one is back, what is said of it holds
        answer.hosts = ["a!", "b"]
        assert.deepStrictEqual(yield* hosts, ["a", "b", "c"])
        assert.strictEqual(members.share(8), 4)

        yield* TestClock.adjust("15 seconds")
        answer.hosts = ["b"]
        assert.deepStrictEqual(yield* hosts, ["b"])
        assert.strictEqual(members.share(8), 8)
      })
  )
})

describe("an origin that all processes share", () => {
  const server = TestServer.make({ server: () => new McpServer({ name: "one", version: "1" }) })
  const of = (origin: Connector.Origin | undefined) =>
    withSharedOrigin({ ...server.peerConnector, origin }, () => room.share).origin
  const room = { share: 4 }

  it("has room for the part of this process, as of now, under its own key", () => {
    const origin = of({ key: "https://example.com" })
    assert.deepStrictEqual([origin?.key, origin?.limit], ["https://example.com", 4])
    room.share = 2
    assert.strictEqual(origin?.limit, 2)
  })

  it("is none where there is none, or one that has a limit of its own, as a machine has for the children that it starts", () => {
    assert.isUndefined(of(undefined))
    const machine = { key: "stdio", limit: 16 }
    assert.strictEqual(of(machine), machine)
  })
})
