/**
 * Sends bodies to one address, over connections that end with the scope. The global `fetch` keeps its own for seconds.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Headers from "effect/http/Headers"
import * as Result from "effect/Result"
import * as http from "node:http"
import * as https from "node:https"

/** Why a body did not arrive, in words of our own. */
export class PostError {
  readonly reason: string
  /** after which it may arrive if it is sent again; `undefined` where it will not */
  readonly after: Duration.Duration | undefined
  constructor(reason: string, after?: Duration.Duration) {
    this.reason = reason
    this.after = after
  }
}

export interface Body {
  readonly contentType: string
  readonly contentEncoding?: "gzip"
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

/** The statuses after which OTLP lets a body be sent again. */
const transient: ReadonlySet<number> = new Set([429, 502, 503, 504])

/** What the server asks for in `Retry-After`; zero where it asks for nothing that can be read. */
const retryAfter = (value: string | undefined, clock: Clock.Clock): Duration.Duration =>
  Result.match(Headers.parseRetryAfter(value ?? ""), {
    onFailure: () => Duration.zero,
    onSuccess: (asked) => Headers.retryAfterDelay(asked, clock.currentTimeMillisUnsafe())
  })

export const make = Effect.fnUntraced(function* (url: URL, headers: Readonly<Record<string, string>>) {
  const { Agent, request } = url.protocol === "https:" ? https : http
  const clock = yield* Clock.Clock
  const agent = yield* Effect.acquireRelease(
    Effect.sync(() => new Agent({ keepAlive: true, maxSockets: 1 })),
    (agent) => Effect.sync(() => agent.destroy())
  )
  const post: Post = ({ bytes, contentEncoding, contentType }) =>
    Effect.callback((resume, signal) => {
      const failed = (reason: string, after?: Duration.Duration) => resume(Effect.fail(new PostError(reason, after)))
      try {
        const sent = request(
          url,
          {
            agent,
            signal,
            method: "POST",
            headers: {
              ...headers,
              "content-type": contentType,
              "content-length": bytes.byteLength,
              ...(contentEncoding === undefined ? {} : { "content-encoding": contentEncoding })
            }
          },
          (response) => {
            const status = response.statusCode ?? 0
            let answer = ""
            response.setEncoding("utf8").on("data", (text: string) => {
              if (answer.length < maxAnswer) answer += text
            })
            response.once("error", () => failed("reset", Duration.zero))
            response.once("end", () => {
              if (status >= 200 && status < 300) return resume(Effect.succeed(answer))
              const again = transient.has(status) ? retryAfter(response.headers["retry-after"], clock) : undefined
              failed(`status ${status}`, again)
            })
          }
        )
        sent.once("error", (error) => failed("code" in error ? String(error.code) : "unknown", Duration.zero))
        sent.end(bytes)
      } catch {
        // a header that is none
        failed("invalid request")
      }
    })
  return post
})
