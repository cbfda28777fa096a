/** The transport as clients of the SDK use it, without Effect. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { BackendError, KeepaliveEvent } from "@vmcp-keepalive/core"
import { Leftovers, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpPeerConnector, Peer } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Context, Effect, Layer } from "effect"
import { fileURLToPath } from "node:url"
import { ErrorAnswer, keepAlive, type Kept, KeptTransport } from "../src/index.ts"
import { keptFetch } from "../src/KeptFetch.ts"
import { hello, policy } from "./support.ts"

const program = fileURLToPath(new URL("programs/server.ts", import.meta.url))
const connector = () => StdioPeerConnector.make({ command: process.execPath, args: [program] })
const host = () => new Client({ name: "host", version: "1" })

/** Connects a client of the SDK, and closes it. */
const connected = async (kept: Kept, body: (client: Client) => Promise<void>): Promise<void> => {
  const client = host()
  await client.connect(kept)
  try {
    await body(client)
  } finally {
    await client.close()
  }
}

const textOf = (result: Awaited<ReturnType<Client["callTool"]>>): string =>
  Array.isArray(result.content) ? String(result.content[0]?.text) : ""

describe("a kept transport", () => {
  it("is what a client of the SDK connects to", () => {
    const kept: Transport = keepAlive({ id: "x", connector: connector() })
    assert.instanceOf(kept, KeptTransport.KeptTransport)
  })

  it("delivers progress that comes in one read with its result before it, 1,000 messages in order", async () => {
    await connected(keepAlive({ id: "bursts", connector: connector(), policy }), async (client) => {
      const errors: Array<Error> = []
      client.onerror = (error) => void errors.push(error)
      const seen: Array<number> = []
      const burst = { name: "burst", arguments: { count: 999 } }
      await client.callTool(burst, undefined, { onprogress: ({ progress }) => void seen.push(progress) })
      assert.deepStrictEqual(
        seen,
        Array.from({ length: 999 }, (_, index) => index + 1)
      )
      assert.deepStrictEqual(errors, [])
    })
  })

  it("survives the death of the server, and tells its state", async () => {
    const kept = keepAlive({ id: "bursts", connector: connector(), policy })
    const states: Array<string> = []
    const events: Array<string> = []
    const stop = kept.on("change", ({ _tag }) => void states.push(_tag))
    kept.on("event", ({ _tag }) => void events.push(_tag))
    assert.strictEqual(kept.state._tag, "Idle")
    await connected(kept, async (client) => {
      let closes = 0
      client.onclose = () => closes++
      const first = Number(textOf(await client.callTool({ name: "pid" })))
      assert.strictEqual(kept.state._tag, "Connected")
      process.kill(first, "SIGKILL")
      // What was sent before the death is known may have been executed.
      let second = first
      for (let call = 0; second === first; call++) {
        assert.isBelow(call, 10)
        try {
          second = Number(textOf(await client.callTool({ name: "pid" })))
        } catch (error) {
          assert.strictEqual(ErrorAnswer.dataOf(error)?.executed, "unknown")
        }
      }
      assert.strictEqual(closes, 0)
      const before = states.length
      stop()
      assert.strictEqual((await kept.reconnect())._tag, "Connected")
      assert.strictEqual((await kept.probe())._tag, "Connected")
      assert.strictEqual((await kept.isolate())._tag, "Isolated")
      const rejected = await client.callTool({ name: "pid" }).catch((error: unknown) => error)
      assert.strictEqual(ErrorAnswer.dataOf(rejected)?.error, "CallRejected")
      await kept.reset()
      assert.notStrictEqual(textOf(await client.callTool({ name: "pid" })), String(second))
      assert.strictEqual(states.length, before)
    })
    assert.strictEqual(kept.state._tag, "Closed")
    assert.includeMembers(states, ["Connecting", "Connected"])
    assert.includeMembers(events, ["Started", "AttemptSucceeded", "CallSettled", "SessionClosed"])
  })

  it("throws at once, and lists, what is wrong with its settings", () => {
    const wrong = () =>
      keepAlive({
        id: "",
        connector: StdioPeerConnector.make({ command: "" }),
        policy: { failureThreshold: 0 },
        initializeTimeout: "0 seconds"
      })
    try {
      wrong()
      assert.fail("it did not throw")
    } catch (error) {
      assert.instanceOf(error, BackendError.ConfigurationError)
      assert.deepStrictEqual(error.issues.map(({ path }) => path.join(".")).toSorted(), [
        "connector.command",
        "id",
        "initializeTimeout",
        "policy.failureThreshold"
      ])
    }
  })

  it.each([
    ["a child process", StdioPeerConnector.make({ command: "no-such-program" }), "connector.command"],
    [
      "a peer of its own",
      HttpPeerConnector.make({ url: "http://127.0.0.1:1/mcp", peer: () => Peer.make() }),
      "connector.peer"
    ]
  ] as const)("throws at once what is wrong also with a connector that has %s", (_, wrong, path) => {
    try {
      keepAlive({ id: "x", connector: wrong, policy: { failureThreshold: 0 } })
      assert.fail("it did not throw")
    } catch (error) {
      assert.instanceOf(error, BackendError.ConfigurationError)
      assert.deepStrictEqual(
        error.issues.map(({ path }) => path.join(".")),
        [path, "policy.failureThreshold"]
      )
    }
  })

  it("starts once, takes nothing before that, and nothing after its end", async () => {
    const kept = keepAlive({ id: "x", connector: connector(), policy })
    const ping = { jsonrpc: "2.0", id: 1, method: "ping" }
    const refused = async (promise: Promise<unknown>) => {
      const error: unknown = await promise.then(
        () => undefined,
        (error: unknown) => error
      )
      assert.instanceOf(error, Error)
      // the words on which frameworks open a new connection and call again
      assert.notMatch(error.message, /not connected|connection closed|closed connection/i)
    }
    let closes = 0
    kept.onclose = () => closes++
    await refused(kept.send(ping))
    await kept.start()
    await refused(kept.start())
    const answer = new Promise((resolve) => {
      kept.onmessage = resolve
    })
    await kept.send(ping)
    assert.deepStrictEqual(await answer, { jsonrpc: "2.0", id: 1, result: {} })
    await Promise.all([kept.close(), kept.close()])
    assert.strictEqual(closes, 1)
    await refused(kept.send(ping))
    await refused(kept.start())
    const never = keepAlive({ id: "x", connector: connector(), policy })
    await never.close()
    await refused(never.start())
  })

  it("reports what its client's handler throws, and goes on", async () => {
    const kept = keepAlive({ id: "x", connector: connector(), policy })
    await kept.start()
    const errors: Array<Error> = []
    kept.onerror = (error) => void errors.push(error)
    const both = new Promise<void>((resolve) => {
      let answers = 0
      kept.onmessage = () => {
        if (++answers === 2) resolve()
        throw new Error("of the client's")
      }
    })
    for (const id of [1, 2]) await kept.send({ jsonrpc: "2.0", id, method: "ping" })
    await both
    await kept.close()
    assert.deepStrictEqual(
      errors.map(({ message }) => message),
      ["of the client's", "of the client's"]
    )
  })

  it("builds a layer of telemetry that several have in common once, and ends it with the last of them", async () => {
    let built = 0
    let ended = 0
    const seen: Array<string> = []
    const telemetry = KeepaliveEvent.layerObserver(
      Effect.acquireRelease(
        Effect.sync(() => {
          built++
          return (event: KeepaliveEvent.KeepaliveEvent) => void seen.push(`${event.backend} ${event._tag}`)
        }),
        () => Effect.sync(() => ended++)
      )
    )
    const one = keepAlive({ id: "one", connector: connector(), policy, telemetry })
    const two = keepAlive({ id: "two", connector: connector(), policy, telemetry })
    await connected(one, () => connected(two, async () => {}))
    assert.deepStrictEqual([built, ended], [1, 1])
    assert.includeMembers(seen, ["one AttemptSucceeded", "two AttemptSucceeded"])
  })

  it("rejects its start where a layer cannot be built", async () => {
    const telemetry = Layer.effectDiscard(Effect.fail(new Error("the port is in use")))
    const kept = keepAlive({ id: "x", connector: connector(), telemetry })
    const error = await kept.start().catch((error: unknown) => error)
    assert.instanceOf(error, Error)
    assert.strictEqual(error.message, "the port is in use")
    await kept.close()
  })

  it("is not held to a layer that could not be built once: the next session of an endpoint tries again", async () => {
    let tries = 0
    const telemetry = Layer.effectDiscard(
      Effect.suspend(() => (++tries === 1 ? Effect.fail(new Error("the port is in use")) : Effect.void))
    )
    const kept = keptFetch({ id: "x", connector: connector(), policy, telemetry })
    const initialize = () =>
      kept.fetch(kept.url, {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify({ jsonrpc: "2.0", id: 0, method: "initialize", params: hello })
      })
    const error = await initialize().catch((error: unknown) => error)
    assert.instanceOf(error, Error)
    const response = await initialize()
    assert.strictEqual(response.status, 200)
    assert.include(await response.text(), "bursts")
    assert.strictEqual(tries, 2)
    await kept.close()
  })

  it("gives a connector the services that it needs", async () => {
    class Token extends Context.Service<Token, string>()("test/Token") {}
    const headers = Effect.map(Token, (token) => ({ authorization: token }))
    const needing = HttpPeerConnector.make({ url: "http://127.0.0.1:1/mcp", headers })
    const kept = keepAlive({ id: "x", connector: needing, policy, services: Layer.succeed(Token, "a token") })
    await kept.start()
    await kept.close()
    // @ts-expect-error -- without them
    const without = () => keepAlive({ id: "x", connector: needing })
    assert.isFunction(without)
  })

  it("is closed when everything that it held is gone: process, pipes and timers", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const leftovers = yield* Leftovers.make({ within: "1 second" })
        const server = yield* StdioServers.scripted()
        const connector = StdioPeerConnector.make({ command: server.command, args: [...server.args] })
        yield* Effect.promise(() =>
          connected(keepAlive({ id: "x", connector, policy }), async (client) => {
            await client.callTool(server.echo("hi"))
            void client.callTool(server.slow(60)).catch(() => {})
          })
        )
        yield* leftovers.check
      }).pipe(Effect.scoped)
    ))

  it("of an app with Effect ends with its scope", () =>
    Effect.runPromise(
      Effect.gen(function* () {
        let closed = false
        yield* Effect.scoped(
          Effect.gen(function* () {
            const kept = yield* KeptTransport.make({ id: "x", connector: connector(), policy })
            const client = host()
            client.onclose = () => {
              closed = true
            }
            yield* Effect.promise(() => client.connect(kept))
            assert.isNotEmpty(textOf(yield* Effect.promise(() => client.callTool({ name: "pid" }))))
          })
        )
        assert.isTrue(closed)
      })
    ))
})
