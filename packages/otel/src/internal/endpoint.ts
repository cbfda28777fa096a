/**
 * An HTTP server with one page.
 */
import * as Effect from "effect/Effect"
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http"
import type { AddressInfo } from "node:net"
import { pipeline } from "node:stream/promises"
import * as Connections from "./connections.ts"
import * as Hosts from "./hosts.ts"
import * as Page from "./page.ts"
import * as Turns from "./turns.ts"

export interface Options {
  readonly host: string
  readonly port: number
  /** further names by which it may be asked; see {@link Hosts.isAllowed} */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
  /** in milliseconds: how long an answer may take, until the reader has taken it; then the connection is cut */
  readonly writeTimeout: number
  readonly path: string
  readonly contentType: string
  /** the page in parts, each made when it is taken */
  readonly body: () => Iterable<string>
}

/** Serves until the scope closes; succeeds with the port it listens on, fails with Node's error. */
export const serve = Effect.fnUntraced(function* (options: Options) {
  const stopped = yield* Effect.acquireRelease(
    Effect.sync(() => new AbortController()),
    (controller) => Effect.sync(() => controller.abort())
  )
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => createServer(Connections.limits)),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  server.on("request", listener(server, options, Page.make({ render: options.body, signal: stopped.signal })))
  return yield* Effect.callback<number, unknown>((resume) => {
    server.on("error", (error) => resume(Effect.fail(error)))
    try {
      server.listen({ port: options.port, host: options.host, backlog: Connections.backlog }, () =>
        resume(Effect.succeed(addressOf(server)?.port ?? options.port))
      )
    } catch (error) {
      resume(Effect.fail(error))
    }
  })
})

const listener = (server: Server, options: Options, lend: Page.Lend): RequestListener => {
  const connections = Connections.bound(server)
  const turn = Turns.make()
  let count = 0

  async function* paced(parts: ReadonlyArray<Uint8Array>, number: number): AsyncGenerator<Uint8Array> {
    for (const part of parts) {
      await turn(number)
      yield part
    }
  }

  return (request, response) => {
    const { socket } = request
    connections.asked(socket)
    const refused = refusal(request, { ...options, address: addressOf(server)?.address ?? "" })
    if (refused !== undefined) return void response.writeHead(...refused).end()
    response.setHeader("content-type", options.contentType)
    if (request.method === "HEAD") return void response.end()
    const number = count++
    const tooLate = setTimeout(() => Connections.cut(socket), options.writeTimeout)
    response.once("close", () => clearTimeout(tooLate))
    lend(({ parts, size }) => {
      response.setHeader("content-length", size)
      return pipeline(paced(parts, number), response)
      // one that hangs up, or is cut off, is no concern of ours
    }).catch(() => response.destroy())
  }
}

/** Why there is no page for it, as a status and headers. */
const refusal = (
  { headers, method, url = "" }: IncomingMessage,
  options: Hosts.Options & Options
): [status: number, headers?: Record<string, string>] | undefined => {
  if (!Hosts.isAllowed(headers.host, options)) return [403]
  if (url.split("?", 1)[0] !== options.path) return [404]
  if (method !== "GET" && method !== "HEAD") return [405, { allow: "GET, HEAD" }]
  return undefined
}

const addressOf = (server: Server): AddressInfo | undefined => {
  const address = server.address()
  return typeof address === "object" && address !== null ? address : undefined
}
