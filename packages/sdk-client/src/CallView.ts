/**
 * The client as one call sees it: the real one, except that every request made through it is recorded, and waits for as
 * long as the caller does instead of the SDK's 60 s.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ExperimentalClientTasks } from "@modelcontextprotocol/sdk/experimental/tasks/client.js"
import type { RequestOptions } from "@modelcontextprotocol/sdk/shared/protocol.js"
import type { Connector } from "@vmcp-keepalive/core"
import * as RequestRecord from "./RequestRecord.ts"
import type { Requests } from "./Requests.ts"

/** As long as a timer of JavaScript can be, in milliseconds: the SDK clears it when the request is settled. */
export const noTimeout = 2 ** 31 - 1

/** Options without the SDK's own timeout, unless the caller sets one. */
export const patient = (options?: RequestOptions): RequestOptions =>
  options?.timeout === undefined ? { ...options, timeout: noTimeout } : options

/** The request, with the span that it belongs to in its `_meta` (MCP SEP-414), unless one is there. */
export const withTraceparent = <
  Request extends { readonly params?: { readonly _meta?: object | undefined } | undefined }
>(
  request: Request,
  traceparent: string | undefined
): Request =>
  traceparent === undefined
    ? request
    : { ...request, params: { ...request.params, _meta: { traceparent, ...request.params?._meta } } }

/** Begins a call: what `Session.call` of the port returns. */
export const call = (requests: Requests, client: Client, traceparent?: string): Connector.Call<Client> => {
  const records: Array<RequestRecord.Record> = []
  const handler = new View(requests, client, records, traceparent, () => view)
  const view: Client = new Proxy(client, handler)
  return { client: view, requests: records, end: () => handler.end() }
}

class View implements ProxyHandler<Client> {
  readonly #request: Client["request"]
  readonly #self: () => Client
  #experimental: Client["experimental"] | undefined = undefined
  #ended = false

  constructor(
    requests: Requests,
    client: Client,
    records: Array<RequestRecord.Record>,
    traceparent: string | undefined,
    self: () => Client
  ) {
    this.#self = self
    this.#request = (request, schema, options) => {
      if (this.#ended) return Promise.reject(new Error("The call is over: nothing more is sent for it"))
      const record = RequestRecord.ofRequest(request)
      records.push(record)
      const traced = withTraceparent(request, traceparent)
      return requests.track(record, false, traced, (tracked) => client.request(tracked, schema, patient(options)))
    }
  }

  /** Nothing more begins through it. */
  end(): void {
    this.#ended = true
  }

  get(target: Client, key: PropertyKey, receiver: unknown): unknown {
    if (key === "request") return this.#request
    // The client keeps the first one that it makes, which would record into the call that asked first.
    if (key === "experimental") return (this.#experimental ??= { tasks: new ExperimentalClientTasks(this.#self()) })
    return Reflect.get(target, key, receiver)
  }

  set(target: Client, key: PropertyKey, value: unknown): boolean {
    return Reflect.set(target, key, value)
  }
}
