/** What belongs to one session, and what outlives it, when the child is another one. */
import { assert, describe } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { LoggingMessageNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { eventually, is, isRenewed, keep, only, text, together } from "./support.ts"

const { everything, scripted } = StdioServers

const pid = { name: "pid", arguments: {} }

describe("a new child", () => {
  const promise = together()

  promise("is set up before callers get it, each time", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const setUp: Array<string> = []
      const setup = (client: Client) => Effect.promise(async () => setUp.push(text(await client.callTool(pid))))
      const kept = yield* keep(server, { setup })
      for (const generation of [1, 2, 3]) {
        assert.strictEqual(setUp.length, generation)
        assert.strictEqual(text(yield* kept.call(pid)), setUp.at(-1))
        assert.include(setUp.at(-1), String(kept.pid()))
        kept.signal("SIGKILL")
        yield* kept.until(isRenewed(generation))
      }
    })
  )

  promise("that cannot be set up is ended, and the attempt has failed", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const setup = (client: Client) =>
        Effect.flatMap(
          Effect.promise(() => client.callTool(pid)),
          () => Effect.fail("no")
        )
      const kept = yield* keep(server, { await: false, setup })
      const error = yield* Effect.flip(kept.call(server.echo("nobody")))
      assert.deepStrictEqual([error._tag, error.reason], ["CallRejected", "setup"])
      assert.deepStrictEqual(
        only(kept.events, "AttemptFailed").map(({ reason }) => reason),
        ["setup", "setup", "setup"]
      )
      assert.deepStrictEqual(
        kept.spawns.flatMap(({ others }) => others),
        []
      )
      assert.deepStrictEqual(
        (yield* server.executions).map(({ tool }) => tool),
        ["pid", "pid", "pid"]
      )
    })
  )

  promise("that dies in its setup is told by its exit, and the circuit opens", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const setup = (client: Client) => Effect.promise(() => client.callTool({ name: "exit", arguments: { code: 4 } }))
      const kept = yield* keep(server, { await: false, setup })
      yield* kept.until(is("CircuitOpen"))
      const failed = only(kept.events, "AttemptFailed").map(({ detail, reason }) => [reason, detail])
      assert.deepStrictEqual(
        failed,
        Array.from({ length: 3 }, () => ["process_exit", "exit code 4"])
      )
      assert.strictEqual(yield* server.starts, 3)
    })
  )

  promise("is not what pinned calls go on with: they fail with SessionReplaced", () =>
    Effect.gen(function* () {
      const server = yield* scripted()
      const kept = yield* keep(server)
      const pinned = kept.backend.pinned((session) =>
        Effect.gen(function* () {
          yield* session.use((client) => client.callTool(server.echo("first")))
          kept.signal("SIGKILL")
          yield* kept.until(isRenewed(session.generation))
          return yield* session.use((client) => client.callTool(server.echo("second")))
        })
      )
      const error = yield* Effect.flip(pinned)
      assert(error._tag === "SessionReplaced")
      assert.strictEqual(error.generation, 1)
      assert.deepStrictEqual(
        (yield* server.executions).map((execution) => execution.arguments),
        [{ message: "first" }]
      )
      assert.include(text(yield* kept.call(server.echo("unpinned"))), "unpinned")
    })
  )

  promise("is subscribed to the resources that its predecessor was, and to no other", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const client = () => {
        const client = new Client({ name: "subscriber", version: "1.0.0" })
        client.setNotificationHandler(LoggingMessageNotificationSchema, ({ params }) => {
          said.push(String(params.data))
        })
        return client
      }
      const server = yield* everything
      const kept = yield* keep(server, { connector: { client } })
      const uris = ["demo://a", "demo://b", "demo://c"]
      for (const uri of uris) yield* kept.backend.use((client) => client.subscribeResource({ uri }))
      yield* kept.backend.use((client) => client.unsubscribeResource({ uri: "demo://c" }))
      const subscribed = () => said.flatMap((line) => /Subscribe Resource request for URI: (\S+)/.exec(line)?.[1] ?? [])
      yield* eventually(Effect.sync(subscribed), ({ length }) => length === 3)
      said.length = 0
      kept.signal("SIGKILL")
      yield* kept.until(isRenewed())
      yield* kept.call(server.echo("after"))
      assert.deepStrictEqual(subscribed().toSorted(), ["demo://a", "demo://b"])
    })
  )
})
