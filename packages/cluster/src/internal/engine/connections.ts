/**
 * Connections between the processes: as the engine's own for Node, but without Nagle's algorithm, which holds each part of a stream back for a delayed
 * acknowledgement (80 ms a notification instead of 2).
 */
import * as NodeSocket from "@effect/platform-node/NodeSocket"
import * as NodeSocketServer from "@effect/platform-node/NodeSocketServer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Runners } from "effect/cluster"
import { RpcClient, RpcSerialization } from "effect/rpc"
import { Socket, type SocketServer } from "effect/socket"
import * as Tls from "node:tls"
import type * as ClusterOptions from "../../ClusterOptions.ts"
import type * as Address from "../address.ts"

/** How long a connection may take: to a process that is there it takes milliseconds. */
const opening = "1 second"
/** How many milliseconds a peer has to show its certificate: until then it holds a connection. */
const showing = 3000

const optionsOf = ({ ca, cert, key }: ClusterOptions.Tls) => ({
  ca,
  cert,
  key: Redacted.value(key),
  // both ends are of here
  minVersion: "TLSv1.3" as const
})

/** As `NodeSocket.makeTls`, which sets no TCP_NODELAY: `node:tls` ignores the option. */
const secured = (tls: ClusterOptions.Tls, { host, port }: Address.Address) =>
  NodeSocket.fromDuplex(
    Effect.flatMap(
      Effect.acquireRelease(
        // an error that nobody hears would end this process
        Effect.sync(() => Tls.connect({ ...optionsOf(tls), host, port, servername: tls.name }).on("error", () => {})),
        (socket) => Effect.sync(() => (socket.authorized ? socket.destroySoon() : socket.destroy()))
      ),
      (socket) =>
        Effect.callback<Tls.TLSSocket, Socket.SocketError>((resume) => {
          socket.once("secureConnect", () => resume(Effect.succeed(socket.setNoDelay(true))))
          socket.once("error", (cause) => {
            const reason = new Socket.SocketOpenError({ kind: "Unknown", cause })
            resume(Effect.fail(new Socket.SocketError({ reason })))
          })
        })
    ),
    { openTimeout: opening }
  )

export const clients = ({
  tls
}: Pick<ClusterOptions.Settings, "tls">): Layer.Layer<
  Runners.RpcClientProtocol,
  never,
  RpcSerialization.RpcSerialization
> =>
  Layer.effect(
    Runners.RpcClientProtocol,
    Effect.map(RpcSerialization.RpcSerialization, (serialization) => ({
      codecFor: serialization.codecFor,
      make: ({ host, port }) =>
        Effect.gen(function* () {
          const socket = yield* tls === undefined
            ? NodeSocket.makeNet({ host, port, noDelay: true, openTimeout: opening, timeout: 5500 })
            : secured(tls, { host, port })
          return yield* RpcClient.makeProtocolSocket().pipe(
            Effect.provideService(Socket.Socket, socket),
            Effect.provideService(RpcSerialization.RpcSerialization, serialization)
          )
        })
    }))
  )

export const server = ({
  address,
  tls
}: Pick<ClusterOptions.Settings, "address" | "tls">): Layer.Layer<
  SocketServer.SocketServer,
  SocketServer.SocketServerError
> =>
  tls === undefined
    ? NodeSocketServer.layer({ ...address, noDelay: true })
    : NodeSocketServer.layerTls({
        ...optionsOf(tls),
        ...address,
        noDelay: true,
        requestCert: true,
        rejectUnauthorized: true,
        handshakeTimeout: showing
      })
