/** What is counted on of the engine's `Runners` over real sockets: when a request has left this process, and when it has not. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Effect, Exit, Layer, Option } from "effect"
import { MessageStorage, RunnerAddress, Runners, ShardingConfig } from "effect/cluster"
import { RpcSerialization } from "effect/rpc"
import { createServer, type Server, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import * as Connections from "../../src/internal/engine/connections.ts"
import { Ticket } from "../../src/internal/once/ticket.ts"
import { Ensure } from "../../src/internal/protocol.ts"
import { freePort } from "../support/world.ts"
import { outgoing } from "./outgoing.ts"

/** The engine's own, and how each request was handed to its connection, with the ticket that was at hand. */
const world = Effect.gen(function* () {
  const handed: Array<string> = []
  const tickets = new Set<unknown>()
  const watching = Layer.effect(
    Runners.RpcClientProtocol,
    Effect.map(Runners.RpcClientProtocol, (inner) => ({
      codecFor: inner.codecFor,
      make: (address) =>
        Effect.map(inner.make(address), (protocol) => ({
          ...protocol,
          send: (clientId, request, transferables) =>
            Effect.gen(function* () {
              if (request._tag !== "Request") return yield* protocol.send(clientId, request, transferables)
              tickets.add(Option.getOrUndefined(yield* Effect.serviceOption(Ticket)))
              yield* Effect.onExit(protocol.send(clientId, request, transferables), (exit) =>
                Effect.sync(() => handed.push(Exit.isSuccess(exit) ? "taken" : "not taken"))
              )
            })
        }))
    }))
  ).pipe(Layer.provide(Connections.clients({ tls: undefined })))
  const context = yield* Layer.build(
    Runners.layerRpc.pipe(
      Layer.provide(watching),
      Layer.provide([MessageStorage.layerNoop, ShardingConfig.layerDefaults, RpcSerialization.layerSchemaBinary()])
    )
  )
  return { handed, tickets, runners: Context.get(context, Runners.Runners) }
})

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

describe("the engine's `Runners`, over sockets,", () => {
  it.live("has not handed over what it could not connect for, and says that the process is unavailable", () =>
    Effect.gen(function* () {
      const { handed, runners } = yield* world
      const address = RunnerAddress.RunnerAddress.make({ host: "127.0.0.1", port: yield* freePort })
      const { answers, message } = outgoing(Ensure, "Ensure", undefined, Context.empty())
      const error = yield* Effect.flip(runners.send({ address, message }))
      assert.strictEqual(error._tag, "RunnerUnavailable")
      assert.notInclude(handed, "taken")
      assert.strictEqual(answers.length, 0)
    })
  )

  it.live(
    "hands it over once, with the ticket of whoever asks, and does not ask again where the connection ends under it",
    () =>
      Effect.gen(function* () {
        const { handed, runners, tickets } = yield* world
        let heard = 0
        const address = yield* listening((socket) =>
          socket.on("data", ({ length }) => {
            heard += length
            socket.destroy()
          })
        )
        const { answers, message } = outgoing(Ensure, "Ensure", undefined, Context.empty())
        const ticket = { written: false }
        const asking = Effect.provideService(runners.send({ address, message }), Ticket, ticket)
        const error = yield* Effect.flip(asking)
        assert.strictEqual(error._tag, "RunnerUnavailable")
        assert.deepStrictEqual(handed, ["taken"])
        assert.deepStrictEqual([...tickets], [ticket])
        assert.isAbove(heard, 0)
        assert.strictEqual(answers.length, 0)
      })
  )

  it.live("waits for an answer for as long as whoever asks does", () =>
    Effect.gen(function* () {
      const { handed, runners } = yield* world
      const address = yield* listening((socket) => socket.resume())
      const { message } = outgoing(Ensure, "Ensure", undefined, Context.empty())
      const waited = yield* Effect.timeoutOption(runners.send({ address, message }), "500 millis")
      assert.isTrue(Option.isNone(waited))
      assert.deepStrictEqual(handed, ["taken"])
    })
  )
})
