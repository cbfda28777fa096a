/**
 * Effect's `HttpClient` as a `fetch`.
 */
import type { Fetch } from "./fetch.ts"
import * as Effect from "effect/Effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpBody from "effect/http/HttpBody"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import type { HttpMethod } from "effect/http/HttpMethod"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/** See the module. */
export const make: Effect.Effect<Fetch, never, HttpClient.HttpClient> = Effect.gen(function* () {
  const client = yield* HttpClient.HttpClient
  const settings = yield* Effect.serviceOption(FetchHttpClient.RequestInit)
  const run = Effect.runPromiseWith(yield* Effect.context<never>())
  return (url, init) =>
    run(
      client.execute(requestOf(url, init)).pipe(
        Effect.flatMap(responseOf),
        // Node's fetch would follow a redirect to another origin with the session id and headers of the user.
        Effect.provideService(FetchHttpClient.RequestInit, {
          ...Option.getOrUndefined(settings),
          redirect: init?.redirect ?? "follow"
        })
      ),
      init?.signal == null ? {} : { signal: init.signal }
    )
})

const methods: Readonly<Record<string, HttpMethod>> = {
  GET: "GET",
  POST: "POST",
  DELETE: "DELETE",
  OPTIONS: "OPTIONS"
}

const requestOf = (url: string | URL, init: RequestInit | undefined): HttpClientRequest.HttpClientRequest => {
  const headers = new Headers(init?.headers)
  const body =
    typeof init?.body === "string" ? init.body : init?.body instanceof URLSearchParams ? String(init.body) : undefined
  return HttpClientRequest.make(methods[init?.method ?? "GET"] ?? "GET")(url.toString(), {
    headers: Object.fromEntries(headers),
    ...(body === undefined
      ? {}
      : { body: HttpBody.text(body, headers.get("content-type") ?? "application/x-www-form-urlencoded") })
  })
}

const withoutBody = new Set([101, 204, 205, 304])

const responseOf = (response: HttpClientResponse.HttpClientResponse): Effect.Effect<Response> =>
  Option.match(HttpClientResponse.toWeb(response), {
    onSome: Effect.succeed,
    onNone: () =>
      Effect.map(
        Stream.toReadableStreamEffect(response.stream),
        (body) =>
          new Response(withoutBody.has(response.status) ? null : body, {
            status: response.status,
            headers: response.headers
          })
      )
  })
