/** The ways of sending that a connector has. */
import { NodeHttpClient } from "@effect/platform-node"
import { Effect, Layer } from "effect"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import type * as HttpClient from "effect/http/HttpClient"
import { HttpConnector } from "../../src/index.ts"
import { native, type Sender } from "./support.ts"

const through = (name: string, layer: Layer.Layer<HttpClient.HttpClient>): Sender => ({
  name: `Effect's HttpClient on ${name}`,
  native: false,
  repeatsMisdirected: layer === FetchHttpClient.layer,
  fetch: Effect.flatMap(Layer.build(layer), (context) => Effect.provide(HttpConnector.fetchFromHttpClient, context))
})

export const usersFetch: Sender = {
  name: "a fetch of the user's",
  native: false,
  repeatsMisdirected: true,
  fetch: Effect.succeed((url, init) => fetch(url, init))
}
export const nodeHttp = through("node:http", NodeHttpClient.layerNodeHttp)

export const senders: ReadonlyArray<Sender> = [
  native,
  usersFetch,
  through("fetch", FetchHttpClient.layer),
  through("undici", NodeHttpClient.layerUndici),
  nodeHttp
]
