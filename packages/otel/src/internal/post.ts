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

/**
 * Succeeds with what the server answered with a status of 200 to 299, or the beginning of it. It has no time limit, but
 * can be interrupted.
 */
export type Post = (body: Body) => Effect.Effect<string, PostError>

/** How much of an answer is kept, in characters. */
const maxAnswer = 16 * 1024

/** Whether it is an address to which `make` can post. */
export const isAddress = (url: URL | null): boolean => url !== null && /^https?:$/.test(url.protocol)

/** Whether Node would send it. */
export const isHeader = (name: string, value: string): boolean => {
  try {
    http.validateHeaderName(name)
    http.validateHeaderValue(name, value)
    return true
  } catch {
    return false
  }
}

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
            let answer = ""
            response.setEncoding("utf8").on("data", (text: string) => {
              if (answer.length < maxAnswer) answer += text
            })
            response.once("error", () => failed("reset"))
            response.once("end", () =>
              status >= 200 && status < 300 ? resume(Effect.succeed(answer)) : failed(`status ${status}`)
            )
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
