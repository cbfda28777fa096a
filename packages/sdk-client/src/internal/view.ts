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

/** What is seen instead of the client's own: of the properties that it answers, `undefined` is none. */
export type Seen<Client> = (property: PropertyKey, view: Client) => unknown

/** Begins a call: what `Session.call` of the port returns. */
export const call = <Client extends object>(
  requests: Requests,
  client: Client,
  traceparent: string | undefined,
  seen: (recording: Recording) => Seen<Client>
): Connector.Call<Client> => {
  const records: Array<RequestRecord.Record> = []
  const further = (record: RequestRecord.Record) => void records.push(record)
  let ended = false
  const recording: Recording = (request, send) => {
    if (ended) return Promise.reject(new Error("The call is over: nothing more is sent for it"))
    const record = RequestRecord.ofRequest(request)
    records.push(record)
    return requests.track(record, false, withTraceparent(request, traceparent), send, further)
  }
  const property = seen(recording)
  const view: Client = new Proxy(client, {
    get: (target, key, receiver) => property(key, view) ?? Reflect.get(target, key, receiver),
    // on the client itself, whose accessors know nothing of a view
    set: (target, key, value) => Reflect.set(target, key, value)
  })
  return {
    client: view,
    requests: records,
    end: () => {
      ended = true
    }
  }
}
