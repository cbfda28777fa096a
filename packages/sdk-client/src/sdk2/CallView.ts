/**
 * The client of `@modelcontextprotocol/client` 2.x: how it is made and connected, and as one call sees it. A request made in a call
 * waits for as long as the caller does, instead of the SDK's 60 s.
 */
import { Client, type RequestOptions, type VersionNegotiationOptions } from "@modelcontextprotocol/client"
import type { Connector } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type { ClientKind } from "../ClientKind.ts"
import * as View from "../internal/view.ts"
import type { Requests } from "../Requests.ts"
import * as JsonSchema from "./JsonSchema.ts"

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
export const patient = <Options extends RequestOptions>(options?: Options): Options & { readonly timeout: number } =>
  ({ ...options, timeout: options?.timeout ?? noTimeout }) as Options & { readonly timeout: number }

/**
 * What {@link kind} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /** Makes the client of a session, not connected yet. Default: {@link defaultClient}. */
  readonly client?: (() => Client) | undefined
  /**
   * Which revisions of the protocol to speak, and how to find out. Default: what the client was made with; for one that was made with
   * nothing `{ mode: "auto" }`, where the SDK itself would speak those before 2026-07-28 only.
   */
  readonly versionNegotiation?: VersionNegotiationOptions | undefined
}

/**
 * Clients of SDK 2.x, each made by `client`.
 *
 * @since 0.1.0
 */
export const kind = ({ client = defaultClient, versionNegotiation }: Options = {}): ClientKind<Client> => ({
  issues: Effect.succeed([]),
  make: Effect.sync(() => {
    const made = client()
    made.setVersionNegotiation(versionNegotiation ?? negotiationOf(made) ?? auto)
    return made
  }),
  connect: (made, transport, known) => {
    const isKnown = known === "legacy" && negotiationOf(made)?.mode === "auto"
    return made.connect(transport, { timeout: noTimeout, ...(isKnown ? { prior: { kind: "legacy" } } : {}) })
  },
  close: (made) => made.close(),
  capabilities: (made) => made.getServerCapabilities(),
  call
})

const auto: VersionNegotiationOptions = { mode: "auto" }

/** How a client negotiates. The SDK lets it be set from outside and does not tell it. */
const negotiationOf = (client: Client): VersionNegotiationOptions | undefined =>
  Reflect.get(client, "_versionNegotiation")

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
    const request: Client["request"] = (
      asked: { readonly method: string; readonly params?: Record<string, unknown> },
      ...rest: ReadonlyArray<unknown>
    ) => recording(asked, (tracked) => Reflect.apply(client.request, client, [tracked, ...patiently(rest)]))
    // Neither goes through `request`. What they send in the same turn is known by its method.
    const discover: Client["discover"] = (options) =>
      recording({ method: "server/discover" }, () => client.discover(patient(options)))
    const listen: Client["listen"] = (filter, options) =>
      recording({ method: "subscriptions/listen" }, () => client.listen(filter, patient(options)))
    return (property) => {
      switch (property) {
        case "request":
          return request
        case "discover":
          return discover
        case "listen":
          return listen
      }
      return undefined
    }
  })

/** The parameters of `request` after the first: a schema for the result where there is one, and options. */
const patiently = (rest: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
  isSchema(rest[0])
    ? [rest[0], patient(rest[1] as RequestOptions | undefined)]
    : [patient(rest[0] as RequestOptions | undefined)]

const isSchema = (value: unknown): boolean => typeof value === "object" && value !== null && "~standard" in value
