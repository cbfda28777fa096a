/**
 * The client of `@modelcontextprotocol/sdk` 1.x: how it is made and connected, and as one call sees it. A request made in a call
 * waits for as long as the caller does, instead of the SDK's 60 s.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ExperimentalClientTasks } from "@modelcontextprotocol/sdk/experimental/tasks/client.js"
import type { RequestOptions } from "@modelcontextprotocol/sdk/shared/protocol.js"
import type { Connector } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type { ClientKind } from "./ClientKind.ts"
import * as View from "./internal/view.ts"
import * as JsonSchema from "./JsonSchema.ts"
import type { Requests } from "./Requests.ts"

/**
 * As long as a timer of JavaScript can be, in milliseconds: the SDK clears it when the request is settled.
 *
 * @since 0.1.0
 */
export const noTimeout = 2 ** 31 - 1

/**
 * Options without the SDK's own timeout, unless the caller sets one.
 *
 * @since 0.1.0
 */
export const patient = (options?: RequestOptions): RequestOptions =>
  options?.timeout === undefined ? { ...options, timeout: noTimeout } : options

/**
 * Clients of SDK 1.x, each made by `make`. Default: {@link defaultClient}.
 *
 * @since 0.1.0
 */
export const kind = (make: () => Client = defaultClient): ClientKind<Client> => ({
  issues: Effect.succeed([]),
  make: Effect.sync(make),
  connect: (client, transport) => {
    transport.requests.keepsHandlers = true
    return client.connect(transport, patient())
  },
  close: (client) => client.close(),
  capabilities: (client) => client.getServerCapabilities(),
  call
})

/**
 * A client without capabilities and handlers. What a tool's output schema costs to check is bounded ({@link JsonSchema}).
 *
 * @since 0.1.0
 */
export const defaultClient = (): Client =>
  new Client({ name: "vmcp-keepalive", version: "0.1.0" }, { jsonSchemaValidator: JsonSchema.validator() })

/**
 * Begins a call: what `Session.call` of the port returns.
 *
 * @since 0.1.0
 */
export const call = (requests: Requests, client: Client, traceparent?: string): Connector.Call<Client> =>
  View.call(requests, client, traceparent, (recording) => {
    const request: Client["request"] = (asked, schema, options) =>
      recording(asked, (tracked) => client.request(tracked, schema, patient(options)))
    let experimental: Client["experimental"] | undefined
    return (property, view) => {
      if (property === "request") return request
      // The client keeps the first one that it makes, which would record into the call that asked first.
      if (property === "experimental") return (experimental ??= { tasks: new ExperimentalClientTasks(view) })
      return undefined
    }
  })
