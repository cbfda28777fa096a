/** A client of the SDK through the gateway to real servers: over HTTP, where each host has its own session, and over stdio, shared. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import {
  CallToolResultSchema,
  CreateMessageRequestSchema,
  ElicitRequestSchema,
  ListRootsRequestSchema
} from "@modelcontextprotocol/sdk/types.js"
import { KeptTransport } from "@vmcp-keepalive/host"
import { Fault, FaultProxy, McpServers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect, Exit, Fiber, Scope } from "effect"
import type { Gateway } from "../../src/index.ts"
import { fleetOf, gatewayOf, policy } from "../support.ts"

const capabilities = { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } }

/** A client of the SDK, which connects once. */
const clientOf = (gateway: Gateway.Shape) =>
  Effect.gen(function* () {
    const scope: Scope.Closeable = yield* Effect.acquireRelease(Scope.make(), (made) => Scope.close(made, Exit.void))
    const transport = new KeptTransport.KeptTransport({
      open: (deliver) => Effect.runPromise(Scope.provide(gateway.open(deliver), scope)),
      close: () => Effect.runPromise(Scope.close(scope, Exit.void))
    })
    const client = new Client({ name: "host", version: "1" }, { capabilities })
    client.setRequestHandler(CreateMessageRequestSchema, () => ({
      role: "assistant",
      model: "scripted",
      content: { type: "text", text: "as sampled" }
    }))
    client.setRequestHandler(ElicitRequestSchema, () => ({ action: "decline" }))
    client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [{ uri: "file:///one", name: "root" }] }))
    let closes = 0
    // oxlint-disable-next-line unicorn/prefer-add-event-listener -- the client is no EventTarget
    client.onclose = () => closes++
    yield* Effect.promise(() => client.connect(transport))
    const call = (name: string, args: Record<string, unknown> = {}) =>
      Effect.promise(() => client.callTool({ name, arguments: args }))
    return { call, client, closes: () => closes }
  })

const start = Effect.gen(function* () {
  const http = yield* McpServers.everything
  const proxy = yield* FaultProxy.make({ target: http })
  const stdio = yield* StdioServers.everything
  const fleet = yield* fleetOf
  const connector = HttpPeerConnector.make({ url: `${proxy.url}/mcp` })
  yield* fleet.add({ id: "http", connector, policy: { ...policy, waitForSession: "2 seconds" } })
  const child = StdioPeerConnector.make({ command: stdio.command, args: [...stdio.args] })
  yield* fleet.add({
    id: "stdio",
    connector: child,
    policy: { ...policy, interval: "10 seconds", connectTimeout: "15 seconds", timeout: "3 seconds" }
  })
  const gateway = yield* gatewayOf({ fleet, initializeWait: "20 seconds", listWait: "2 seconds" })
  return { fleet, gateway, http, proxy, stdio }
})

/** The text of a result's content. */
const said = (result: unknown): string => JSON.stringify(Object(result)["content"])

/** What this project says of a call that it could not make. */
const dataOf = (result: unknown): unknown => Object(Object(result)["_meta"])["vmcp-keepalive"]

describe("a client of the SDK", () => {
  it.live("has all of MCP with both, before and after each has died, on one connection; and nothing runs twice", () =>
    Effect.gen(function* () {
      const { fleet, gateway, http, proxy, stdio } = yield* start
      const { call, client, closes } = yield* clientOf(gateway)
      const everything = Effect.gen(function* () {
        const names = (yield* Effect.promise(() => client.listTools())).tools.map(({ name }) => name)
        assert.includeMembers(names, [
          "http__trigger-sampling-request",
          "http__get-roots-list",
          "http__echo",
          "stdio__echo"
        ])
        // who shares a session is not asked
        assert.notInclude(names, "stdio__trigger-sampling-request")
        assert.include(said(yield* call("http__trigger-sampling-request", { prompt: "x", maxTokens: 5 })), "as sampled")
        assert.include(said(yield* call("http__trigger-elicitation-request")), "declined")
        assert.include(said(yield* call("http__get-roots-list")), "file:///one")
        for (const id of ["http", "stdio"]) {
          const steps: Array<number> = []
          const operation = { name: `${id}__trigger-long-running-operation`, arguments: { duration: 0.2, steps: 4 } }
          yield* Effect.promise(() =>
            client.callTool(operation, CallToolResultSchema, {
              onprogress: ({ progress }) => void steps.push(progress)
            })
          )
          assert.deepStrictEqual(steps, [1, 2, 3, 4])
          const prompt = yield* Effect.promise(() =>
            client.getPrompt({ name: `${id}__args-prompt`, arguments: { city: "Ghent" } })
          )
          assert.include(JSON.stringify(prompt.messages), "Ghent")
          const completion = yield* Effect.promise(() =>
            client.complete({
              ref: { type: "ref/prompt", name: `${id}__completable-prompt` },
              argument: { name: "department", value: "E" }
            })
          )
          assert.include(completion.completion.values, "Engineering")
        }
        const { resources } = yield* Effect.promise(() => client.listResources())
        const [first] = resources
        if (first === undefined) throw new Error("no resources")
        assert.isNotEmpty((yield* Effect.promise(() => client.readResource({ uri: first.uri }))).contents)
        // both list the same ones
        const uris = resources.map(({ uri }) => uri)
        assert.lengthOf(new Set(uris), uris.length)
        assert.deepInclude(yield* gateway.conflicts, { uri: first.uri, shown: "http", hidden: "stdio" })
      })
      yield* everything

      // killed while nothing is asked
      yield* http.restart
      const member = yield* Effect.flatMap(fleet.get("stdio"), Effect.fromOption)
      yield* member.reconnect
      yield* everything

      // in a call: its answer is lost, and it is told so
      const since = performance.now()
      const operation = call("http__trigger-long-running-operation", { duration: 5, steps: 5 })
      const calling = yield* Effect.forkChild(operation, { startImmediately: true })
      yield* proxy.awaitRequest(({ at, forwarded, rpcMethod }) => at > since && forwarded && rpcMethod === "tools/call")
      while ((yield* http.executions).every(({ arguments: args }) => Object(args).duration !== 5)) {
        yield* Effect.sleep("10 millis")
      }
      yield* http.kill
      assert.deepInclude(dataOf(yield* Fiber.join(calling)), { executed: "unknown" })

      // while it is down, its tools are listed, and the other's work
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.include(
        tools.map(({ name }) => name),
        "http__echo"
      )
      assert.include(said(yield* call("stdio__echo", { message: "there" })), "there")
      assert.deepInclude(dataOf(yield* call("http__echo", { message: "away" })), { backend: "http", executed: "no" })
      yield* http.start

      // frozen: lists come all the same
      const own = yield* Effect.flatMap(fleet.get("http"), Effect.fromOption)
      yield* own.awaitConnected
      let back = yield* call("http__echo", { message: "back" })
      // the session of this host comes back by itself, not with the fleet's
      while (dataOf(back) !== undefined) back = yield* call("http__echo", { message: "back" })
      yield* http.freeze
      const began = performance.now()
      const frozen = yield* Effect.promise(() => client.listTools())
      assert.isBelow(performance.now() - began, 4000)
      assert.include(
        frozen.tools.map(({ name }) => name),
        "http__echo"
      )
      yield* http.thaw

      assert.strictEqual(closes(), 0)
      const executed = yield* http.executions
      const echoes = executed.filter(({ tool }) => tool === "echo").map((each) => JSON.stringify(each.arguments))
      assert.notInclude(echoes.join(), "away")
      assert.lengthOf(
        (yield* stdio.executions).filter(({ tool }) => tool === "echo"),
        1
      )
      assert.lengthOf(
        executed.filter(({ arguments: args }) => Object(args).duration === 5),
        1
      )
    })
  )

  it.live("waits for no black hole: what a server beside it lists comes within listWait", () =>
    Effect.gen(function* () {
      const { gateway, proxy } = yield* start
      const { client } = yield* clientOf(gateway)
      yield* proxy.inject(Fault.SilentDrop({ on: { rpc: ["tools/list", "ping"] } }))
      const began = performance.now()
      const { tools } = yield* Effect.promise(() => client.listTools())
      assert.isBelow(performance.now() - began, 4000)
      assert.include(
        tools.map(({ name }) => name),
        "stdio__echo"
      )
      yield* proxy.heal
    })
  )
})
