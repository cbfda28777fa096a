/**
 * What stands in front of several gateways: each request goes to the next one that takes a connection. It repeats nothing of which a byte may have
 * been sent on.
 */
import { Effect, type Scope } from "effect"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"

export interface Balancer {
  readonly url: string
  /** how many requests each has answered, by its port */
  readonly answered: ReadonlyMap<number, number>
}

export const make = (ports: ReadonlyArray<number>): Effect.Effect<Balancer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const answered = new Map<number, number>()
    let turn = 0
    const pass = (
      request: Http.IncomingMessage,
      response: Http.ServerResponse,
      body: Buffer,
      left: ReadonlyArray<number>
    ): void => {
      const [port, ...others] = left
      if (port === undefined) return void response.writeHead(502).end()
      const onward = Http.request({
        host: "127.0.0.1",
        port,
        path: request.url,
        method: request.method,
        headers: { ...request.headers, host: `127.0.0.1:${port}` },
        agent: false
      })
      onward.once("response", (answer) => {
        answered.set(port, (answered.get(port) ?? 0) + 1)
        response.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.on("error", () => response.destroy())
        answer.on("close", () => (answer.complete ? undefined : response.destroy()))
        answer.pipe(response)
      })
      onward.once("error", (error) => {
        if ("code" in error && error.code === "ECONNREFUSED") return pass(request, response, body, others)
        response.destroy()
      })
      response.once("close", () => onward.destroy())
      onward.end(body)
    }
    const server = yield* Effect.acquireRelease(
      Effect.callback<Http.Server>((resume) => {
        const made = Http.createServer((request, response) => {
          const parts: Array<Buffer> = []
          request.on("data", (part: Buffer) => parts.push(part))
          request.on("end", () => {
            const first = turn++ % ports.length
            pass(request, response, Buffer.concat(parts), [...ports.slice(first), ...ports.slice(0, first)])
          })
        })
        made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
      }),
      (made) =>
        Effect.callback<void>((resume) => {
          made.close(() => resume(Effect.void))
          made.closeAllConnections()
        })
    )
    const { port } = server.address() as AddressInfo
    return { url: `http://127.0.0.1:${port}/mcp`, answered }
  })
