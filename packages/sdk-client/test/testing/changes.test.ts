/** What a backend of a server that a test writes hears of changes, in virtual time. */
import { assert, describe, it } from "@effect/vitest"
import type { Server } from "@modelcontextprotocol/sdk/server/index.js"
import { ListPromptsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Changes } from "@vmcp-keepalive/core"
import { Effect, Fiber, Stream } from "effect"
import { TestClock } from "effect/testing"
import { type Ledger, makeServer, start } from "./support.ts"

/** A server that tells of its prompts and of the resource `note://1`, and of tools only that it has some; and who listens to it. */
const listened = Effect.gen(function* () {
  const servers: Array<Server> = []
  const ledger: Ledger = { charged: [], subscribed: [], waiting: [], aborted: 0 }
  const { backend, server } = yield* start(
    {},
    {
      server: () => {
        const made = makeServer(ledger)()
        made.registerCapabilities({ prompts: { listChanged: true } })
        made.setRequestHandler(ListPromptsRequestSchema, () => ({ prompts: [] }))
        servers.push(made)
        return made
      }
    }
  )
  const heard: Array<Changes.Change> = []
  const filter = { tools: true, prompts: true, uris: ["note://1"] }
  const fiber = yield* Effect.forkChild(
    Stream.runForEach(backend.listen(filter), (change) => Effect.sync(() => void heard.push(change))),
    { startImmediately: true }
  )
  yield* backend.awaitConnected
  const told = Effect.map(TestClock.adjust("1 second"), () => heard.splice(0))
  yield* told
  const says = (method: string, uri?: string) =>
    Effect.promise(async () =>
      servers.at(-1)?.notification({ method, ...(uri === undefined ? {} : { params: { uri } }) })
    )
  return { backend, server, ledger, told, says, stop: Fiber.interrupt(fiber) }
})

const prompts = "notifications/prompts/list_changed"
const updated = "notifications/resources/updated"

describe("a backend of a test's own server", () => {
  it.effect("hears of a list, of a resource, and of what belongs to it, on each session", () =>
    Effect.gen(function* () {
      const { ledger, says, server, told } = yield* listened
      for (const generation of [1, 2]) {
        yield* says(prompts)
        for (const uri of ["note://1", "note://1/part", "note://10", "note://2"]) yield* says(updated, uri)
        assert.deepStrictEqual(yield* told, [
          Changes.list("prompts"),
          Changes.resource("note://1"),
          Changes.resource("note://1/part")
        ])
        assert.strictEqual(ledger.subscribed.length, generation)
        if (generation === 2) break
        yield* server.kill()
        yield* TestClock.adjust("1 minute")
        // it never said that it tells of its tools
        assert.deepStrictEqual(yield* told, [Changes.list("prompts"), Changes.resource("note://1")])
      }
    })
  )

  it.effect("hears nothing when it does not listen any more", () =>
    Effect.gen(function* () {
      const { says, stop, told } = yield* listened
      yield* stop
      yield* says(prompts)
      yield* says(updated, "note://1")
      assert.deepStrictEqual(yield* told, [])
    })
  )
})
