/**
 * A client as one call sees it: the real one, except that every request made through it is recorded.
 */
import type { Connector } from "@vmcp-keepalive/core"
import * as RequestRecord from "../RequestRecord.ts"
import type { Question, Requests } from "../Requests.ts"
import { withTraceparent } from "./traceparent.ts"

/** Makes a request through the real client and writes what becomes of it into a new record. */
export type Recording = <Request extends Question, A>(
  request: Request,
  send: (request: Request) => Promise<A>
) => Promise<A>

/** What is seen instead of the client's own property; `undefined` where it is the client's own. */
export type Seen<Client> = (property: PropertyKey, view: Client) => unknown

/** Begins a call: what `Session.call` of the port returns. */
export const call = <Client extends object>(
  requests: Requests,
  client: Client,
  traceparent: string | undefined,
  seen: (recording: Recording) => Seen<Client>
): Connector.Call<Client> => new View(requests, client, traceparent, seen)

const over = "The call is over: nothing more is sent for it"

/** A call, which is also what its view of the client does: one is made for each. */
class View<Client extends object> implements Connector.Call<Client>, ProxyHandler<Client> {
  readonly client: Client
  readonly requests: Array<RequestRecord.Record> = []
  readonly #all: Requests
  readonly #traceparent: string | undefined
  readonly #seen: Seen<Client>
  #ended = false
  readonly end = (): void => {
    this.#ended = true
  }

  constructor(
    all: Requests,
    client: Client,
    traceparent: string | undefined,
    seen: (recording: Recording) => Seen<Client>
  ) {
    this.#all = all
    this.#traceparent = traceparent
    this.#seen = seen((request, send) => this.#record(request, send))
    this.client = new Proxy(client, this)
  }

  get(target: Client, key: PropertyKey, receiver: unknown): unknown {
    return this.#seen(key, this.client) ?? Reflect.get(target, key, receiver)
  }

  /** On the client itself, whose accessors know nothing of a view. */
  set(target: Client, key: PropertyKey, value: unknown): boolean {
    return Reflect.set(target, key, value)
  }

  #record<Request extends Question, A>(request: Request, send: (request: Request) => Promise<A>): Promise<A> {
    if (this.#ended) return Promise.reject(new Error(over))
    const record = RequestRecord.ofRequest(request)
    this.requests.push(record)
    const further = (leg: RequestRecord.Record) => {
      if (this.#ended) throw new Error(over)
      this.requests.push(leg)
    }
    return this.#all.track(record, false, withTraceparent(request, this.#traceparent), send, further)
  }
}
