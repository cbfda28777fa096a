/** Each key of both seeds, from the file to what the server is asked. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import { ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpTransport } from "@vmcp-keepalive/transport-http"
import { StdioTransport } from "@vmcp-keepalive/transport-stdio"
import { Duration, Effect, Layer, Option } from "effect"
import { assert, describe, it } from "vitest"
import { withEnvironment } from "../support.ts"
import { file, follow } from "./support.ts"

const Transports = Layer.mergeAll(HttpTransport.layer(), StdioTransport.layer())

/** The member that a server's entry makes, over HTTP, once it is connected; and what its server was asked before. */
const one = Effect.fnUntraced(function* (entry: object, form: "map" | "list" = "map") {
  const server = yield* ScriptedServer.make()
  const whole = { url: server.url, ...entry }
  const { path } = yield* file(
    "rename",
    form === "map" ? { mcpServers: { a: whole } } : { mcpServers: [{ name: "a", ...whole }] }
  )
  const { fleet, told } = yield* follow<Client>(path)
  assert.strictEqual(yield* told, "Added a")
  const backend = Option.getOrThrow(yield* fleet.get("a"))
  yield* backend.awaitConnected
  return { backend, server }
})

const play = <A, E>(program: Effect.Effect<A, E, Effect.Services<ReturnType<typeof one>>>) =>
  program.pipe(Effect.scoped, Effect.provide(Transports), withEnvironment, Effect.runPromise)

describe.each(["map", "list"] as const)("in a file with a %s of servers", (form) => {
  it.each([5, 30, 300])("keepalive_interval: %i is the interval of the backend that runs", (keepalive_interval) =>
    play(
      Effect.gen(function* () {
        const { backend } = yield* one({ keepalive_interval }, form)
        assert.deepStrictEqual((yield* backend.policy).interval, Duration.seconds(keepalive_interval))
      })
    )
  )

  it("keepalive_interval left out: 300 s", () =>
    play(
      Effect.gen(function* () {
        const { backend } = yield* one({}, form)
        assert.deepStrictEqual((yield* backend.policy).interval, Duration.seconds(300))
      })
    ))
})

describe("what a probe asks the server", () => {
  it.each<readonly [string, string]>([
    ["ping", "ping"],
    ["list-tools", "tools/list"],
    ["tool:session_counter", "tools/call"],
    ["options", "OPTIONS"],
    ["auto", "ping"]
  ])("keepalive_method: %s asks %s", (keepalive_method, question) =>
    play(
      Effect.gen(function* () {
        const { backend, server } = yield* one({ keepalive_method })
        const asked = Effect.map(server.stats, ({ byMethod, byRpcMethod }) => ({ ...byMethod, ...byRpcMethod }))
        const before = yield* asked
        assert.strictEqual((yield* backend.probe)._tag, "Connected")
        const after = yield* asked
        assert.isAbove(after[question] ?? 0, before[question] ?? 0)
        // tools are listed on every session, whatever is probed
        const others = ["ping", "tools/call", "OPTIONS"].filter((other) => other !== question)
        for (const other of others) assert.notProperty(after, other)
      })
    )
  )

  it("keepalive_method: none asks nothing", () =>
    play(
      Effect.gen(function* () {
        const { backend, server } = yield* one({ keepalive_method: "none" })
        const { byMethod, byRpcMethod } = yield* server.stats
        // where any other method has asked once before the session was accepted
        for (const question of ["ping", "tools/call", "OPTIONS"]) {
          assert.notProperty({ ...byMethod, ...byRpcMethod }, question)
        }
        assert.strictEqual((yield* backend.policy).probe, "none" satisfies KeepalivePolicy.Options["probe"])
      })
    ))
})

describe("how the server is reached", () => {
  it("headers: stand in every request, also what came from the environment", () =>
    play(
      Effect.gen(function* () {
        const { server } = yield* one({ headers: { Authorization: "Bearer ${TOKEN}", "X-Plain": "1" } })
        for (const { headers } of yield* server.requests) {
          assert.deepInclude(headers, { authorization: "Bearer PLANTED-SECRET-1", "x-plain": "1" })
        }
      })
    ))

  it.each([{ type: "http" }, { transport: "http" }, { transport: "streamable-http" }, {}])(
    "url, with %o: over HTTP",
    (word) =>
      play(
        Effect.gen(function* () {
          const { server } = yield* one(word)
          assert.strictEqual((yield* server.stats).byRpcMethod["initialize"], 1)
        })
      )
  )

  it.each([{ type: "stdio" }, {}])("command, args, env and cwd, with %o: as a child process", (word) =>
    play(
      Effect.gen(function* () {
        const { args, command } = yield* StdioServers.scripted()
        const entry = { ...word, command, args, env: { A_VARIABLE: "a value of ${TOKEN}" }, cwd: "/" }
        const { path } = yield* file("rename", { mcpServers: { a: entry } })
        const { fleet, told } = yield* follow<Client>(path)
        assert.strictEqual(yield* told, "Added a")
        const backend = Option.getOrThrow(yield* fleet.get("a"))
        const { content } = yield* backend.use((client, signal) =>
          client.callTool({ name: "environment", arguments: {} }, undefined, { signal })
        )
        assert.include(JSON.stringify(content), "a value of PLANTED-SECRET-1")
      })
    )
  )

  it("enabled: false is no member, and nothing is asked", () =>
    play(
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const { path } = yield* file("rename", { mcpServers: [{ name: "a", url: server.url, enabled: false }] })
        const { fleet, told } = yield* follow<Client>(path)
        assert.strictEqual(yield* told, "")
        assert.deepStrictEqual(yield* fleet.ids, [])
        assert.deepStrictEqual((yield* server.stats).byRpcMethod, {})
      })
    ))
})
