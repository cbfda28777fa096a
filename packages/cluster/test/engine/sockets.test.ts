/** Our requests over real sockets: when one has left this process, and when it has not, and over which connection it goes. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Duration, Effect, Fiber, Option, Queue } from "effect"
import { MessageStorage, RunnerAddress, type Runners, ShardingConfig, Snowflake } from "effect/cluster"
import { TestClock } from "effect/testing"
import { createServer, type Server, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import * as Connections from "../../src/internal/engine/connections.ts"
import * as Frames from "../../src/internal/engine/frames.ts"
import * as Requests from "../../src/internal/engine/requests.ts"
import { Ticket } from "../../src/internal/once/ticket.ts"
import { Ensure } from "../../src/internal/protocol.ts"
import { freePort } from "../support/world.ts"
import { outgoing } from "./outgoing.ts"

const world = Effect.provide(Requests.make(Duration.seconds(5)), [
  Connections.clients({ tls: undefined }),
  Snowflake.layerGenerator,
  MessageStorage.layerNoop,
  ShardingConfig.layerDefaults
])

/** A question, and the ticket of whoever asks it. */
const asked = (runners: Runners.Runners["Service"], address: RunnerAddress.RunnerAddress) => {
  const ticket = { written: false }
  const { answers, message } = outgoing(Ensure, "Ensure", undefined, Context.empty())
  return { answers, ticket, asking: Effect.provideService(runners.send({ address, message }), Ticket, ticket) }
}

const listening = (onConnection: (socket: Socket) => void) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Server>((resume) => {
        const server = createServer((socket) => onConnection(socket.on("error", () => {})))
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => void server.close())
    ),
    (server) => RunnerAddress.RunnerAddress.make({ host: "127.0.0.1", port: (server.address() as AddressInfo).port })
  )

const answered = (message: unknown) =>
  Frames.write({ _tag: "Exit", requestId: Object(message).id, exit: { _tag: "Success", value: null } })

describe("a request, over sockets,", () => {
  it.live("has not left where nobody could be connected to, and says that the process is unavailable", () =>
    Effect.gen(function* () {
      const address = RunnerAddress.RunnerAddress.make({ host: "127.0.0.1", port: yield* freePort })
      const { answers, asking, ticket } = asked(yield* world, address)
      const error = yield* Effect.flip(asking)
      assert.strictEqual(error._tag, "RunnerUnavailable")
      assert.isFalse(ticket.written)
      assert.deepStrictEqual(answers, [])
    })
  )

  it.live("may have left once it was handed to the socket, and is not asked again where that ends under it", () =>
    Effect.gen(function* () {
      let connections = 0
      let heard = 0
      const address = yield* listening((socket) => {
        connections++
        socket.on("data", ({ length }) => {
          heard += length
          socket.destroy()
        })
      })
      const { answers, asking, ticket } = asked(yield* world, address)
      const error = yield* Effect.flip(asking)
      assert.strictEqual(error._tag, "RunnerUnavailable")
      assert.isTrue(ticket.written)
      assert.strictEqual(connections, 1)
      assert.isAbove(heard, 0)
      assert.deepStrictEqual(answers, [])
    })
  )

  it.live("waits for an answer for as long as whoever asks does, and the owner is told when nobody waits", () =>
    Effect.gen(function* () {
      const reader = new Frames.Reader()
      const told = yield* Queue.unbounded<unknown>()
      const address = yield* listening((socket) =>
        socket.on("data", (part) => {
          for (const message of reader.take(part)) if (Object(message)._tag !== "Ping") Queue.offerUnsafe(told, message)
        })
      )
      const { asking, ticket } = asked(yield* world, address)
      const waited = yield* Effect.timeoutOption(asking, "500 millis")
      assert.isTrue(Option.isNone(waited))
      assert.isTrue(ticket.written)
      const tag = Effect.map(Queue.take(told), (message) => Object(message)._tag)
      assert.deepStrictEqual([yield* tag, yield* tag], ["Request", "Interrupt"])
    })
  )

  it.effect("is waited for no longer where the other end gives no sign of life", () =>
    Effect.gen(function* () {
      const reader = new Frames.Reader()
      const told = yield* Queue.unbounded<unknown>()
      const address = yield* listening((socket) =>
        socket.on("data", (part) => {
          for (const message of reader.take(part)) Queue.offerUnsafe(told, Object(message)._tag)
        })
      )
      const { asking, ticket } = asked(yield* world, address)
      const failing = yield* Effect.forkChild(Effect.flip(asking), { startImmediately: true })
      assert.sameMembers([yield* Queue.take(told), yield* Queue.take(told)], ["Ping", "Request"])
      yield* TestClock.adjust("5 seconds")
      assert.isUndefined(failing.pollUnsafe())
      yield* TestClock.adjust("100 millis")
      assert.strictEqual((yield* Fiber.join(failing))._tag, "RunnerUnavailable")
      assert.isTrue(ticket.written)
    })
  )

  it.live("goes over the connection of the one before, and over another one once that has ended", () =>
    Effect.gen(function* () {
      const sockets: Array<Socket> = []
      const address = yield* listening((socket) => {
        const reader = new Frames.Reader()
        sockets.push(socket)
        socket.on("data", (part) => {
          for (const message of reader.take(part))
            if (Object(message)._tag === "Request") socket.write(answered(message))
        })
      })
      const runners = yield* world
      yield* runners.ping(address)
      yield* runners.ping(address)
      assert.strictEqual(sockets.length, 1)
      const [first] = sockets
      assert(first !== undefined)
      yield* Effect.callback<void>((resume) => {
        first.once("close", () => resume(Effect.void)).destroy()
      })
      // what is asked before the end has been noticed fails, and goes over a new connection then
      yield* Effect.retry(runners.ping(address), { times: 5 })
      assert.strictEqual(sockets.length, 2)
    })
  )

  it.live.each([
    ["is no JSON", Buffer.from([0, 0, 0, 1, 0x7b])],
    ["is longer than any may be", Buffer.from([0x7f, 0xff, 0xff, 0xff])]
  ] as const)("ends with a connection on which something comes that %s", ([, bytes]) =>
    Effect.gen(function* () {
      const address = yield* listening((socket) => socket.on("data", () => socket.write(bytes)))
      const { asking } = asked(yield* world, address)
      assert.strictEqual((yield* Effect.flip(asking))._tag, "RunnerUnavailable")
    })
  )
})
