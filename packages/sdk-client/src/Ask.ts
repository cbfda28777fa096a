/**
 * Requests of a transport's own: probes, the list of tools, subscriptions. Each is told by its record, however the SDK
 * ended it. None has a timeout.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ResultSchema } from "@modelcontextprotocol/sdk/types.js"
import type { Result } from "@modelcontextprotocol/sdk/types.js"
import { Connector, Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import { patient, withTraceparent } from "./CallView.ts"
import * as Message from "./Message.ts"
import * as RequestRecord from "./RequestRecord.ts"
import type { Requests } from "./Requests.ts"

/** What is asked. */
export interface Question {
  readonly method: string
  readonly params?: { readonly [name: string]: unknown; readonly _meta?: { [name: string]: unknown } }
}

/** What a request brought. */
export interface Asked {
  readonly evidence: Evidence.Evidence
  /** `undefined` where there was no result */
  readonly result: Result | undefined
}

/** Asks the server something. Interruption frees what the request holds and tells the server nothing: it may be frozen. */
export const ask = (requests: Requests, client: Client, question: Question): Effect.Effect<Asked> =>
  Effect.withFiber(({ cache: { span } }) => {
    const traced = withTraceparent(question, Connector.traceparent(span))
    return Effect.callback((resume, signal) => {
      const record = RequestRecord.ofRequest(question)
      // Without evidence it was not even sent: the client is closed.
      const done = (result: Result | undefined) =>
        resume(Effect.succeed({ evidence: record.evidence ?? Evidence.transportFailure("closed"), result }))
      requests
        .track(record, true, traced, (tracked) => client.request(tracked, ResultSchema, patient({ signal })))
        .then(done, () => done(undefined))
    })
  })

/** What a probe can ask over JSON-RPC, whatever the transport: all but `options`, which is HTTP's. */
export type Rung = Exclude<Connector.ProbeRung, { readonly _tag: "options" }>

/** Asks once whether the server lives. */
export const probe = (requests: Requests, client: Client, rung: Rung): Effect.Effect<Evidence.Evidence> =>
  Effect.map(ask(requests, client, questionOf(rung)), ({ evidence }) => evidence)

const questionOf = (rung: Rung): Question => {
  switch (rung._tag) {
    case "ping":
      return { method: "ping" }
    case "tool":
      return { method: "tools/call", params: { name: rung.name, arguments: rung.arguments } }
    case "list-tools":
      return { method: "tools/list" }
    case "discover":
      return { method: "server/discover" }
  }
}

/** More pages than any server has: one that never stops is not followed for ever. */
const maxPages = 1000

/**
 * The server's tools, from all pages; an empty list where it has none. A cursor that comes twice in a row ends the list.
 * Fails with what was seen instead of a page: `protocol` where the answer is no list.
 */
export const tools = (
  requests: Requests,
  client: Client
): Effect.Effect<ReadonlyArray<Connector.Tool>, Evidence.Evidence> =>
  Effect.gen(function* () {
    const found: Array<Connector.Tool> = []
    if (client.getServerCapabilities()?.tools === undefined) return found
    let cursor: string | undefined
    for (let page = 0; page < maxPages; page++) {
      const params = cursor === undefined ? {} : { cursor }
      const { evidence, result } = yield* ask(requests, client, { method: "tools/list", params })
      if (result === undefined || !Array.isArray(result["tools"]))
        return yield* Effect.fail(evidence._tag === "Answered" ? Evidence.transportFailure("protocol") : evidence)
      found.push(...result["tools"].flatMap(toolOf))
      const next = result["nextCursor"]
      if (typeof next !== "string" || next === cursor) break
      cursor = next
    }
    return found
  })

const toolOf = (tool: unknown): ReadonlyArray<Connector.Tool> => {
  if (!Message.isObject(tool) || typeof tool["name"] !== "string") return []
  const hints = Message.isObject(tool["annotations"]) ? tool["annotations"] : {}
  return [
    { name: tool["name"], readOnly: hints["readOnlyHint"] === true, idempotent: hints["idempotentHint"] === true }
  ]
}

/**
 * Subscribes again, 8 at a time. An error answer to one is that resource's own matter; a failure of the transport is the
 * session's, and fails with what was seen.
 */
export const subscribe = (
  requests: Requests,
  client: Client,
  uris: Iterable<string>
): Effect.Effect<void, Evidence.Evidence> =>
  Effect.forEach(
    [...uris],
    (uri) =>
      Effect.flatMap(ask(requests, client, { method: "resources/subscribe", params: { uri } }), ({ evidence }) =>
        evidence._tag === "Answered" || evidence._tag === "ErrorAnswer" ? Effect.void : Effect.fail(evidence)
      ),
    { concurrency: 8, discard: true }
  )
