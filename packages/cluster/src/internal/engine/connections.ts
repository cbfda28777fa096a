/**
 * Connections between the processes: as the engine's own for Node, but without Nagle's algorithm, which holds each part of a stream back for a delayed
 * acknowledgement (80 ms a notification instead of 2).
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Runners } from "effect/cluster"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Socket, type SocketServer } from "effect/socket"
import type { Settings } from "../../ClusterOptions.ts"

export const clients: Layer.Layer<Runners.RpcClientProtocol, never, RpcSerialization.RpcSerialization> = Layer.effect(
  Runners.RpcClientProtocol,
  Effect.map(RpcSerialization.RpcSerialization, (serialization) => ({
    codecFor: serialization.codecFor,
    make: ({ host, port }) =>
      Effect.gen(function* () {
        const socket = yield* NodeSocket.makeNet({ host, port, noDelay: true, openTimeout: 1000, timeout: 5500 })
        return yield* RpcClient.makeProtocolSocket().pipe(
          Effect.provideService(Socket.Socket, socket),
          Effect.provideService(RpcSerialization.RpcSerialization, serialization)
        )
      })
  }))
)

export const server = ({ address }: Settings): Layer.Layer<SocketServer.SocketServer, SocketServer.SocketServerError> =>
  NodeSocketServer.layer({ ...address, noDelay: true })
