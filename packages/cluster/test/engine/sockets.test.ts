/** Our requests over real sockets: when one has left this process, and when it has not, and that it says what the engine's own would. */
import { assert, describe, it } from "@effect/vitest"
import { Context, Deferred, Duration, Effect, Exit, Layer, Option } from "effect"
import { MessageStorage, RunnerAddress, Runners, ShardingConfig, Snowflake } from "effect/cluster"
import { type Rpc, RpcSerialization } from "effect/rpc"
import type { FromClientEncoded } from "effect/rpc/RpcMessage"
import { createServer, type Server, type Socket } from "node:net"
import type { AddressInfo } from "node:net"
import * as Connections from "../../src/internal/engine/connections.ts"
import * as Frames from "../../src/internal/engine/frames.ts"
import * as Requests from "../../src/internal/engine/requests.ts"
import { Ticket } from "../../src/internal/once/ticket.ts"
import { Attach, Call, Ensure } from "../../src/internal/protocol.ts"
import { freePort } from "../support/world.ts"
import { outgoing } from "./outgoing.ts"

const ours = Layer.effect(Runners.Runners, Requests.make(Duration.seconds(5))).pipe(
  Layer.provide(Snowflake.layerGenerator)
)

/** `Runners`, and how each request was handed to its connection, with the ticket that was at hand. */
const worldOf = Effect.fnUntraced(function* (made: typeof Runners.layerRpc) {
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
    made.pipe(
      Layer.provide(watching),
      Layer.provide([MessageStorage.layerNoop, ShardingConfig.layerDefaults, Frames.layer])
    )
  )
  return { handed, tickets, runners: Context.get(context, Runners.Runners) }
})
const world = worldOf(ours)

const call = {
  kind: "request",
  method: "tools/call",
  params: JSON.stringify({ name: "echo" }),
  idempotent: false,
  caller: "caller",
  label: 3,
  pin: { id: "pin", generation: 2 }
} as const

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

describe("a request, over sockets,", () => {
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

  const saying =
    <R extends Rpc.Any>({ message }: ReturnType<typeof outgoing<R>>) =>
    (runners: Runners.Runners["Service"], address: RunnerAddress.RunnerAddress) =>
      runners.send({ address, message })

  it.live.each([
    ["a call", saying(outgoing(Call, "Call", call, Context.empty()))],
    ["what is told", saying(outgoing(Attach, "Attach", { caller: "caller" }, Context.empty()))],
    ["what has no payload", saying(outgoing(Ensure, "Ensure", undefined, Context.empty()))]
  ] as const)("is word for word what the engine's own is: %s", ([, say]) =>
    Effect.gen(function* () {
      const said = Effect.fnUntraced(function* (made: typeof Runners.layerRpc) {
        const first = yield* Deferred.make<FromClientEncoded>()
        const { decode } = yield* Effect.map(RpcSerialization.RpcSerialization, (frames) => frames.makeUnsafe())
        const address = yield* listening((socket) =>
          socket.on("data", (part) => {
            for (const message of decode(part)) Deferred.doneUnsafe(first, Exit.succeed(message as FromClientEncoded))
          })
        )
        const { runners } = yield* worldOf(made)
        yield* Effect.forkScoped(say(runners, address))
        const request = yield* Deferred.await(first)
        assert(request._tag === "Request")
        return { ...request, id: 0 }
      }, Effect.provide(Frames.layer))
      assert.deepStrictEqual(yield* said(ours), yield* said(Runners.layerRpc))
    })
  )
})
