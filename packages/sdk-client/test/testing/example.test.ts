import { assert, it } from "@effect/vitest"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { McpServer } from "@modelcontextprotocol/sdk/server/mcp.js"
import { Backend } from "@vmcp-keepalive/core"
import { TestServer } from "@vmcp-keepalive/sdk-client/testing"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"

// The app: what it does with its backend, whose client is the SDK's.
const charge = (billing: Backend.Backend<Client>) =>
  billing
    .use((client) => client.callTool({ name: "charge" }))
    .pipe(
      Effect.as("charged"),
      Effect.catchTag("OutcomeUnknown", () => Effect.succeed("ask a person")),
      Effect.catchTag(["SessionUnavailable", "CallRejected"], () => Effect.succeed("try again later"))
    )

// The server: yours, or as much of it as the test needs.
const makeServer = () => {
  const server = new McpServer({ name: "billing", version: "1.0.0" })
  server.registerTool("charge", {}, () => ({ content: [] }))
  return server
}

it.effect("a charge of which nobody knows is not made again", () =>
  Effect.gen(function* () {
    const server = TestServer.make({ server: makeServer })
    const billing = yield* Backend.make({ id: "billing", connector: server.connector })
    yield* server.dropAnswer("charge")
    assert.strictEqual(yield* charge(billing), "ask a person")
    assert.strictEqual((yield* server.calls).length, 1)
  })
)

it.effect("an outage of an hour ends by itself, and no charge is made in it", () =>
  Effect.gen(function* () {
    const server = TestServer.make({ server: makeServer })
    const billing = yield* Backend.make({ id: "billing", connector: server.connector })
    yield* billing.awaitConnected
    yield* server.refuse()
    yield* server.kill()
    const waiting = yield* Effect.forkChild(charge(billing))
    yield* TestClock.adjust("1 hour")
    assert.strictEqual(yield* Fiber.join(waiting), "try again later")
    assert.strictEqual((yield* billing.state)._tag, "CircuitOpen")

    yield* server.recover
    yield* TestClock.adjust("10 minutes")
    assert.strictEqual(yield* charge(billing), "charged")
    assert.strictEqual((yield* server.calls).length, 1)
  })
)
