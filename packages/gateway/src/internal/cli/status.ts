/** `status`: what a gateway that runs says of its backends. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientResponse from "effect/http/HttpClientResponse"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Schema from "effect/Schema"
import { Status } from "../page/wire.ts"
import * as Style from "./style.ts"
import * as Table from "./table.ts"
import { fail, Told } from "./told.ts"

export interface Options {
  readonly url: string
  readonly json: boolean
  readonly watch: boolean
  readonly exitCode: boolean
}

/** A gateway that takes longer is not there for who asks. */
const patience = "3 seconds"
const pause = "2 seconds"

/**
 * Prints it once, or again and again. Fails where the gateway does not answer; and, where that is asked for, where a backend that is required is
 * not connected.
 */
export const status = Effect.fn(function* ({ exitCode, json, url, watch }: Options) {
  const address = yield* addressOf(url)
  const style = Style.make(Style.isWanted(process.stdout))
  const show = (status: Status) =>
    Console.log(json ? JSON.stringify(Schema.encodeSync(Status)(status)) : Table.table(status, style))
  if (!watch) {
    const now = yield* ask(address)
    yield* show(now)
    if (exitCode && lacking(now).length > 0) return yield* fail(sentence(lacking(now)))
    return
  }
  // a terminal shows one table, and a file or a pipe all of them
  const clear = process.stdout.isTTY && !json ? "\u001B[H\u001B[2J" : ""
  const again = Effect.gen(function* () {
    const now = yield* Effect.result(answer(address))
    if (clear !== "") process.stdout.write(clear)
    yield* now._tag === "Success" ? show(now.success) : Console.error(now.failure)
    yield* Effect.sleep(pause)
  })
  yield* Effect.raceFirst(Effect.forever(again), unread)
})

/** Succeeds when nobody reads stdout any more, as with `| head`. */
const unread = Effect.callback<void>((resume) => {
  process.stdout.once("error", () => resume(Effect.void))
})

/** Required, and not to be used now. */
const lacking = ({ backends }: Status): ReadonlyArray<string> =>
  backends
    .filter(({ required, state }) => required && state !== "Connected" && state !== "Unhealthy")
    .map(({ id }) => Style.plain(id))

const sentence = (ids: ReadonlyArray<string>): string =>
  `${ids.length === 1 ? "a required backend is" : "required backends are"} not connected: ${ids.join(", ")}`

/** What the gateway printed as its address, with whatever path. */
const addressOf = (text: string): Effect.Effect<URL, Told> => {
  const url = URL.parse(text)
  return url !== null && /^https?:$/.test(url.protocol)
    ? Effect.succeed(new URL("/api/status", url))
    : fail("--url takes the http: or https: address of a gateway, such as http://127.0.0.1:8931")
}

const ask = (address: URL): Effect.Effect<Status, Told> => Effect.catch(answer(address), fail)

/** What it answers, or why there is nothing. */
const answer = (address: URL): Effect.Effect<Status, string> =>
  HttpClient.get(address).pipe(
    Effect.flatMap(HttpClientResponse.filterStatusOk),
    Effect.flatMap(HttpClientResponse.schemaBodyJson(Status)),
    Effect.timeout(patience),
    Effect.provide(FetchHttpClient.layer),
    Effect.mapError((error) => `${address.origin}: ${reasonOf(error)}`)
  )

interface Failed {
  readonly _tag: string
  readonly response?: { readonly status: number } | undefined
  readonly reason?: { readonly _tag: string; readonly response?: { readonly status: number } | undefined } | undefined
}

const reasonOf = ({ _tag, reason, response }: Failed): string => {
  const status = (reason?.response ?? response)?.status
  if (_tag === "TimeoutError") return `no answer within ${patience}`
  if (status === 403) return "it does not answer to this name: start it with --allow-host, or ask it by another one"
  if (status !== undefined && status !== 200) return `no gateway answers there (status ${status})`
  if (_tag === "SchemaError" || status === 200) return "what answers there is no gateway of this version"
  return "nothing answers there"
}
