/**
 * Sends bodies to one address, over connections that end with the scope. The global `fetch` keeps its own for seconds.
 */
import * as Effect from "effect/Effect"
import * as http from "node:http"
import * as https from "node:https"

/** Why a body did not arrive, in words of our own. */
export class PostError {
  readonly reason: string
  constructor(reason: string) {
    this.reason = reason
  }
}

export interface Body {
  readonly contentType: string
  readonly bytes: Uint8Array
}

/** Succeeds once the server has answered with a status of 200 to 299. It has no time limit, but can be interrupted. */
export type Post = (body: Body) => Effect.Effect<void, PostError>

export const make = Effect.fnUntraced(function* (url: URL, headers: Readonly<Record<string, string>>) {
  const { Agent, request } = url.protocol === "https:" ? https : http
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() => new Agent({ keepAlive: true, maxSockets: 1 })),
    (agent) => Effect.sync(() => agent.destroy())
  )
  const post: Post = ({ bytes, contentType }) =>
    Effect.callback((resume, signal) => {
      const failed = (reason: string) => resume(Effect.fail(new PostError(reason)))
      try {
        const sent = request(
          url,
          {
            agent,
            signal,
            method: "POST",
            headers: { ...headers, "content-type": contentType, "content-length": bytes.byteLength }
          },
          (response) => {
            const status = response.statusCode ?? 0
            response.once("error", () => failed("reset"))
            response.once("end", () =>
              status >= 200 && status < 300 ? resume(Effect.void) : failed(`status ${status}`)
            )
            response.resume()
          }
        )
        sent.once("error", (error) => failed("code" in error ? String(error.code) : "unknown"))
        sent.end(bytes)
      } catch {
        // a header that is none
        failed("invalid request")
      }
    })
  return post
})
