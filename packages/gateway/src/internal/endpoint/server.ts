/**
 * The HTTP server of a gateway of its own: MCP on one path, straight from Node, and everything else by a router.
 *
 * Whoever can open sockets could otherwise take all of this process's descriptors, or hold them without asking anything.
 */
import * as NodeHttpServer from "@effect/platform-node/NodeHttpServer"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type { HttpServerResponse } from "effect/http"
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import * as Guard from "./guard.ts"

/** What it is made of. */
export interface Options<E, R> {
  readonly host: string
  /** 0: any that is free */
  readonly port: number
  /** who may ask, whatever the path */
  readonly rules: Guard.Rules
  readonly mcp: { readonly path: string; readonly listener: RequestListener }
  /** How long a client may take for the head of a request, in milliseconds. Default: 10 s */
  readonly headersTimeout?: number | undefined
  /** An open stream takes one for as long as it is open; what comes beyond is closed at once. Default: 4,096 */
  readonly maxConnections?: number | undefined
  /** answers all other paths */
  readonly app: Effect.Effect<HttpServerResponse.HttpServerResponse, E, R>
}

/**
 * It cannot listen.
 *
 * @since 0.1.0
 */
export class ListenError extends Schema.TaggedError<ListenError>()("ListenError", {
  reason: Schema.Literals(["port_in_use", "not_permitted", "no_such_host", "unknown"]),
  host: Schema.String,
  port: Schema.Number
}) {
  override get message() {
    return `cannot listen on ${this.host}:${this.port}: ${texts[this.reason]}`
  }
}

const texts = {
  port_in_use: "another program listens there",
  not_permitted: "that is not permitted",
  no_such_host: "this machine has no such address",
  unknown: "the system refuses it"
}

/** In milliseconds: how long a client may take for a request, and how long a connection may be idle. */
const limits = { requestTimeout: 60_000, keepAliveTimeout: 65_000 }

/** Serves until the scope closes, and cuts what is open then; succeeds with the port. */
export const serve = Effect.fnUntraced(function* <E, R>({
  app,
  headersTimeout = 10_000,
  host,
  maxConnections = 4096,
  mcp,
  port,
  rules
}: Options<E, R>) {
  const scope = yield* Scope.Scope
  const handler = yield* NodeHttpServer.makeHandler(app, { scope })
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => createServer({ ...limits, headersTimeout, connectionsCheckingInterval: headersTimeout / 10 })),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  server.maxConnections = maxConnections
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const isMcp = pathOf(request) === mcp.path
    const refused = Guard.refusal(askingOf(request), isMcp ? rules : { ...rules, token: undefined })
    if (refused !== undefined) return refuse(response, refused)
    return isMcp ? mcp.listener(request, response) : handler(request, response)
  })
  return yield* listening(server, host, port)
})

const listening = (server: Server, host: string, port: number): Effect.Effect<number, ListenError> =>
  Effect.callback((resume) => {
    server.once("error", (error) => resume(Effect.fail(new ListenError({ reason: reasonOf(error), host, port }))))
    server.listen({ host, port }, () => resume(Effect.succeed((server.address() as AddressInfo).port)))
  })

const reasonOf = (error: unknown): ListenError["reason"] => {
  const code = error instanceof Error && "code" in error ? error.code : undefined
  if (code === "EADDRINUSE") return "port_in_use"
  if (code === "EACCES") return "not_permitted"
  return code === "EADDRNOTAVAIL" || code === "ENOTFOUND" || code === "EAI_AGAIN" ? "no_such_host" : "unknown"
}

const pathOf = ({ url = "" }: IncomingMessage): string => url.split("?", 1)[0] ?? ""

const askingOf = ({ headers: { authorization, host, origin } }: IncomingMessage): Guard.Asking => ({
  authorization,
  host,
  origin
})

const refuse = (response: ServerResponse, status: 401 | 403): void => {
  const headers = status === 401 ? { "www-authenticate": "Bearer" } : {}
  response.writeHead(status, { ...headers, "content-length": 0, connection: "close" }).end()
}
