/**
 * The client as one call sees it: the real one, except that every request made through it is recorded, and waits for as
 * long as the caller does instead of the SDK's 60 s.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ExperimentalClientTasks } from "@modelcontextprotocol/sdk/experimental/tasks/client.js"
import type { RequestOptions } from "@modelcontextprotocol/sdk/shared/protocol.js"
import type { Connector } from "@vmcp-keepalive/core"
import * as Record from "./record.ts"
import type { Wire } from "./wire.ts"

/** As long as a timer of JavaScript can be: the SDK clears it when the request is settled. */
export const noTimeout = 2 ** 31 - 1

/** Options without the SDK's own timeout, unless the caller sets one. */
export const patient = (options?: RequestOptions): RequestOptions =>
  options?.timeout === undefined ? { ...options, timeout: noTimeout } : options

/** Begins a call. */
export const call = (wire: Wire, client: Client): Connector.Call<Client> => {
  const requests: Array<Record.Record> = []
  const view: Client = new Proxy(client, new View(wire, client, requests, () => view))
  return { client: view, requests }
}

class View implements ProxyHandler<Client> {
  readonly #request: Client["request"]
  readonly #self: () => Client
  #experimental: Client["experimental"] | undefined = undefined

  constructor(wire: Wire, client: Client, requests: Array<Record.Record>, self: () => Client) {
    this.#self = self
    this.#request = (request, schema, options) => {
      const record = Record.ofRequest(request)
      requests.push(record)
      return wire.track(record, false, () => client.request(request, schema, patient(options)))
    }
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
