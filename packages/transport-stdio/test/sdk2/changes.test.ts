/** What a backend hears of changes over the pipe, whatever becomes of the child. */
import { assert, describe } from "@effect/vitest"
import type { Backend, Changes } from "@vmcp-keepalive/core"
import { Effect, Fiber, Stream } from "effect"
import { eventually, is, isRenewed, only, promise } from "../backend/support.ts"
import { overheard } from "./support.ts"

const touch = { name: "touch", arguments: {} }

const wordOf = (change: Changes.Change) => (change._tag === "List" ? change.kind : change.uri)

/** Listens until it is stopped, and notes what it hears; `ready`: once the server tells. */
const listen = Effect.fnUntraced(function* (
  backend: Backend.Backend<unknown>,
  filter: Changes.Filter = { tools: true, resources: true, uris: ["note://1"] }
) {
  const heard: Array<string> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(backend.listen(filter, { initially: true }), (change) =>
      Effect.sync(() => void heard.push(wordOf(change)))
    ),
    { startImmediately: true }
  )
  /** waits until so much was heard, and no more; in any order */
  const hears = (...words: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      yield* eventually(
        Effect.sync(() => heard),
        () => heard.length >= words.length
      )
      assert.deepStrictEqual(heard.splice(0).toSorted(), words.toSorted())
    })
  const { uris = [], ...lists } = filter
  return { heard, hears, ready: hears(...Object.keys(lists), ...uris), stop: Fiber.interrupt(fiber) }
})

const eras = [
  ["modern", "subscriptions/listen"],
  ["legacy", "resources/subscribe"]
] as const

for (const [era, method] of eras)
  describe(`a backend that is listened to, with a child of the ${era} era`, { timeout: 60_000 }, () => {
    const start = Effect.gen(function* () {
      const kept = yield* overheard(era)
      const listener = yield* listen(kept.backend)
      yield* listener.ready
      yield* kept.call(touch)
      yield* listener.hears("note://1", "tools")
      return { ...kept, ...listener }
    })

    for (const name of ["SIGKILL", "SIGTERM"] as const)
      promise(`outlives the child, and hears of everything once: ${name}`, () =>
        Effect.gen(function* () {
          const { call, heard, hears, pid, signal, until } = yield* start
          signal(name, -pid())
          yield* until(isRenewed())
          yield* hears("note://1", "resources", "tools")
          yield* call(touch)
          yield* hears("note://1", "tools")
          assert.deepStrictEqual(heard, [])
        })
      )

    promise("is heard no more when nobody listens, and the child is told", () =>
      Effect.gen(function* () {
        const { call, heard, said, stop } = yield* start
        yield* stop
        const end = era === "modern" ? "notifications/cancelled" : "resources/unsubscribe"
        const all = yield* eventually(said, (messages) => messages.some((message) => message.method === end))
        if (era === "modern") {
          const asked = all.find((message) => message.method === method)
          assert.isDefined(asked?.id)
          assert.strictEqual(all.find((message) => message.method === end)?.params?.requestId, asked?.id)
        }
        yield* call(touch)
        assert.deepStrictEqual(heard, [])
      })
    )
  })

describe("a backend that is listened to", { timeout: 60_000 }, () => {
  for (const how of ["answered", "cancelled"] as const)
    promise(`asks again where the server ends it while the child lives: ${how}`, () =>
      Effect.gen(function* () {
        const kept = yield* overheard("modern")
        const { hears, ready } = yield* listen(kept.backend)
        yield* ready
        yield* kept.call({ name: "unlisten", arguments: { how } })
        yield* hears("note://1", "resources", "tools")
        yield* kept.call(touch)
        yield* hears("note://1", "tools")
        assert.deepStrictEqual([only(kept.events, "SessionClosed"), kept.spawns.length], [[], 1])
      })
    )

  promise("hears of a program of either era, which is another one at each start", () =>
    Effect.gen(function* () {
      const kept = yield* overheard("modern")
      const { hears, ready } = yield* listen(kept.backend)
      yield* ready
      for (const [era] of [...eras, ...eras]) {
        yield* kept.server.become({ era })
        const state = yield* kept.until(is("Connected"))
        assert(state._tag === "Connected")
        kept.signal("SIGKILL", -kept.pid())
        yield* kept.until(isRenewed(state.generation))
        yield* hears("note://1", "resources", "tools")
        yield* kept.call(touch)
        yield* hears("note://1", "tools")
      }
    })
  )

  promise("asks again later where the server has no room for it, which is not its death", () =>
    Effect.gen(function* () {
      const kept = yield* overheard({ era: "modern", maxSubscriptions: 1 })
      const first = yield* listen(kept.backend, { tools: true })
      yield* first.ready
      const second = yield* listen(kept.backend, { tools: true })
      const asked = (count: number) =>
        eventually(kept.methods, (all) => all.filter((each) => each === "subscriptions/listen").length >= count)
      yield* asked(3)
      yield* first.stop
      yield* second.ready
      yield* kept.call(touch)
      yield* second.hears("tools")
      assert.deepStrictEqual([only(kept.events, "SessionClosed"), kept.spawns.length], [[], 1])
    })
  )
})
