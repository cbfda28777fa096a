import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Leftovers, StdioServers } from "../src/index.ts"
import { start } from "./child.ts"
import { temporary } from "./temporary.ts"

const { everything, everythingThroughNpx, filesystem, memory, scripted, sdk2, throughShell } = StdioServers

const kinds = {
  everything,
  everythingThroughNpx,
  filesystem,
  memory,
  scripted: scripted(),
  sdk2: sdk2({ era: "dual" }),
  throughShell: Effect.map(scripted(), throughShell)
}

describe.each(Object.entries(kinds))("%s", (_name, make) => {
  it.live("echoes whatever it is asked as often as it is asked, and counts starts and executions over its lives", () =>
    Effect.gen(function* () {
      const leftovers = yield* Leftovers.make()
      const files = temporary()
      yield* Effect.scoped(
        Effect.gen(function* () {
          const server = yield* make
          const messages = ["hello", "it's a/b", "hello"]
          assert.deepStrictEqual([yield* server.starts, yield* server.executions], [0, []])
          for (const life of [1, 2]) {
            yield* Effect.scoped(
              Effect.gen(function* () {
                const child = yield* start(server)
                assert.isDefined((yield* child.initialize).result)
                for (const message of messages) {
                  const { result } = yield* child.call(server.echo(message))
                  assert.include(result?.content?.[0]?.text, message)
                  assert.isNotTrue(result?.isError)
                }
                child.endInput()
                assert.strictEqual(yield* child.exited, 0)
              })
            )
            assert.strictEqual(yield* server.starts, life)
          }
          assert.deepStrictEqual(
            yield* server.executions,
            [...messages, ...messages].map((message) => {
              const { arguments: args, name } = server.echo(message)
              return { tool: name, arguments: args }
            })
          )
        })
      )
      yield* leftovers.check
      assert.deepStrictEqual(temporary(), files)
    })
  )
})

it.live("everything and scripted answer a slow call after its time, and pings meanwhile", () =>
  Effect.gen(function* () {
    for (const server of [yield* everything, yield* scripted()]) {
      const child = yield* start(server)
      yield* child.initialize
      const begin = performance.now()
      const slow = yield* Effect.forkChild(child.call(server.slow(0.3)), { startImmediately: true })
      yield* child.rpc("ping")
      assert.isDefined((yield* Fiber.join(slow)).result)
      // as it wrote them: whoever reads them may be late
      const [, ...answered] = [...child.stdout().matchAll(/"id":(\d+)/g)].map(([, id]) => Number(id))
      assert.deepStrictEqual(answered, [3, 2])
      assert.isAtLeast(performance.now() - begin, 290)
    }
  })
)
