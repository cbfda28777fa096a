/** The example of the README: it is what stands in `example.ts`, and it works. */
import { assert, it } from "@effect/vitest"
import { ScriptedServer } from "@vmcp-keepalive/testkit"
import { Deferred, Effect, Fiber } from "effect"
import { LanguageModel, McpClientError } from "effect/ai"
import { readFileSync } from "node:fs"
import { agent } from "./example.ts"
import * as Model from "./model.ts"
import * as Support from "./support.ts"

it.live("the example of the README runs as it stands, and its server is killed under a call", () =>
  Effect.gen(function* () {
    const source = readFileSync(new URL("./example.ts", import.meta.url), "utf8")
    const [, example = ""] = /^\/\/ README: from here\n([^]*?)^\/\/ README: to here$/m.exec(source) ?? []
    const readme = readFileSync(new URL("../../README.md", import.meta.url), "utf8")
    assert.isNotEmpty(example)
    assert.include(readme, `## Effect AI\n`)
    assert.include(readme, `\`\`\`ts\n${example}\`\`\``)

    const server = yield* ScriptedServer.make()
    const restarted = yield* Deferred.make<void>()
    const { model, turns } = yield* Model.make(
      { tool: "search__echo", params: { message: "before" } },
      { tool: "search__slow", params: { ms: 60_000 } },
      // what is sent at the moment of the death may be of unknown outcome as well
      Effect.as(Deferred.await(restarted), { tool: "search__echo", params: { message: "after" } })
    )
    const answering = yield* agent(server.url, ["one", "two", "three"]).pipe(
      Effect.provideService(LanguageModel.LanguageModel, model),
      Effect.forkChild({ startImmediately: true })
    )
    yield* Support.begun(server, 2)
    yield* server.restart
    yield* Deferred.succeed(restarted, undefined)
    const [before, between, after] = (yield* Fiber.join(answering)).map(({ toolResults }) => toolResults[0])
    assert.deepStrictEqual([before?.result, after?.result], ["Echo: before", "Echo: after"])
    assert(McpClientError.isMcpClientError(between?.result))
    assert.deepStrictEqual(Support.told(between.result), ["OutcomeUnknown", "unknown"])
    assert.strictEqual(turns.length, 3)
    assert.deepStrictEqual(yield* Support.executed(server), ["echo", "slow", "echo"])
  })
)
