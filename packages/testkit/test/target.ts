/** A tiny HTTP target in this process, and a client that sees what happens to its socket. */
import { Effect } from "effect"
import type { Scope } from "effect"
import * as Http from "node:http"
import * as Net from "node:net"
import { waiters } from "./wait.ts"

export interface Target {
  readonly port: number
  /** Paths of the exchanges whose client has gone. */
  readonly aborted: Effect.Effect<string>
  /** Paths requested so far. */
  readonly seen: Array<string>
  /** Writes an SSE event to every open stream. */
  readonly emit: (data: string) => void
  readonly kill: Effect.Effect<void>
}

/** `/sse` streams what `emit` emits; `/hang` never answers; everything else echoes the body with a content-length. */
export const target: Effect.Effect<Target, never, Scope.Scope> = Effect.acquireRelease(
  Effect.callback<Target & { readonly server: Http.Server }>((resume) => {
    const streams = new Set<Http.ServerResponse>()
    const seen: Array<string> = []
    const gone: Array<string> = []
    let onGone: (path: string) => void = (path) => void gone.push(path)
    const server = Http.createServer((request, response) => {
      const path = request.url ?? ""
      seen.push(path)
      response.on("close", () => {
        streams.delete(response)
        if (!response.writableFinished) onGone(path)
      })
      if (path === "/hang") return
      if (path === "/sse") {
        response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders()
        streams.add(response)
        return
      }
      const parts: Array<Buffer> = []
      request.on("data", (part: Buffer) => parts.push(part))
      request.on("end", () => {
        const body = Buffer.concat(parts)
        response.writeHead(200, { "content-length": body.length }).end(body)
      })
    })
    const disconnect = Effect.callback<void>((done) => {
      if (!server.listening) return done(Effect.void)
      server.close(() => done(Effect.void))
      server.closeAllConnections()
    })
    server.listen(0, "127.0.0.1", () => {
      const address = server.address()
      resume(
        Effect.succeed({
          server,
          port: typeof address === "object" && address !== null ? address.port : 0,
          seen,
          emit: (data: string) => streams.forEach((stream) => stream.write(`data: ${data}\n\n`)),
          aborted: Effect.callback<string>((done) => {
            const first = gone.shift()
            if (first !== undefined) return done(Effect.succeed(first))
            onGone = (path) => done(Effect.succeed(path))
          }),
          kill: disconnect
        })
      )
    })
  }),
  ({ kill }) => kill
)

export interface Line {
  /** Everything received so far. */
  readonly received: () => string
  readonly send: (text: string) => void
  readonly until: (fragment: string) => Effect.Effect<string>
  /** How the other side ended it: `fin`, or the code of the error. */
  readonly ended: Effect.Effect<string>
  readonly open: () => boolean
}

/** A bare TCP connection that sends what it is told, and does not close its own direction until the scope ends. */
export const line = (port: number): Effect.Effect<Line, Error, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.callback<Net.Socket, Error>((resume) => {
        const options = { port, host: "127.0.0.1", allowHalfOpen: true }
        const socket = Net.connect(options, () => resume(Effect.succeed(socket)))
        socket.on("error", (error) => resume(Effect.fail(error)))
      }),
      (socket) => Effect.sync(() => socket.destroy())
    ),
    (socket) => {
      let received = ""
      let end: string | undefined
      const { notify, wait } = waiters()
      socket.on("data", (bytes) => {
        received += bytes.toString()
        notify()
      })
      const finish = (how: string) => {
        end ??= how
        notify()
      }
      socket.on("end", () => finish("fin"))
      socket.on("error", (error) => finish("code" in error ? String(error.code) : error.message))
      socket.on("close", () => finish("close"))
      return {
        received: () => received,
        send: (text) => void socket.write(text),
        until: (fragment) => wait(() => (received.includes(fragment) ? received : undefined)),
        ended: wait(() => end),
        open: () => end === undefined
      }
    }
  )

/** An HTTP request in text. */
export const http = (method: string, path: string, body = "", headers: Record<string, string> = {}) =>
  [
    `${method} ${path} HTTP/1.1`,
    "host: x",
    ...Object.entries({ ...headers, "content-length": String(body.length) }).map(
      ([name, value]) => `${name}: ${value}`
    ),
    "",
    body
  ].join("\r\n")

/** A JSON-RPC request body. */
export const rpc = (method: string) => JSON.stringify({ jsonrpc: "2.0", id: 1, method })
