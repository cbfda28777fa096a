/**
 * An HTTP server with one page.
 */
import * as Effect from "effect/Effect"
import { createServer, type RequestListener } from "node:http"
import { pipeline, Readable } from "node:stream"
import { setImmediate } from "node:timers/promises"

export interface Options {
  readonly host: string
  readonly port: number
  readonly path: string
  readonly contentType: string
  /** the page in parts, each made when it is taken */
  readonly body: () => Iterable<string>
}

/** Lets everything else that is due go before each further part: a reader that is fast enough would hold up the process. */
async function* paced(parts: Iterable<string>): AsyncGenerator<string> {
  for (const part of parts) {
    yield part
    await setImmediate()
  }
}

/** Serves until the scope closes; succeeds with the port it listens on, fails with Node's error. */
export const serve = Effect.fnUntraced(function* (options: Options) {
  const { body, contentType, path } = options
  const listener: RequestListener = (request, response) => {
    const [asked] = (request.url ?? "").split("?", 1)
    if (asked !== path) return void response.writeHead(404).end()
    if (request.method !== "GET" && request.method !== "HEAD") {
      return void response.writeHead(405, { allow: "GET, HEAD" }).end()
    }
    response.writeHead(200, { "content-type": contentType })
    if (request.method === "HEAD") return void response.end()
    // one that hangs up is no concern of ours
    pipeline(Readable.from(paced(body()), { objectMode: false }), response, () => {})
  }
  const server = yield* Effect.acquireRelease(
    Effect.sync(() => createServer(listener)),
    (server) =>
      Effect.callback<void>((resume) => {
        server.close(() => resume(Effect.void))
        server.closeAllConnections()
      })
  )
  return yield* Effect.callback<number, unknown>((resume) => {
    server.on("error", (error) => resume(Effect.fail(error)))
    try {
      server.listen(options.port, options.host, () => {
        const address = server.address()
        resume(Effect.succeed(typeof address === "object" && address !== null ? address.port : options.port))
      })
    } catch (error) {
      resume(Effect.fail(error))
    }
  })
})
