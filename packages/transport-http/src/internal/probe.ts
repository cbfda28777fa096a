/**
 * Requests of our own: probes, the list of tools, subscriptions. Each is told by its record, however the SDK ended it.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { ResultSchema } from "@modelcontextprotocol/sdk/types.js"
import type { Result } from "@modelcontextprotocol/sdk/types.js"
import { Evidence } from "@vmcp-keepalive/core"
import type { Connector } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Failure from "./failure.ts"
import * as Record from "./record.ts"
import { patient } from "./view.ts"
import type { Wire } from "./wire.ts"

/** What a request of our own brought. */
export interface Asked {
  readonly evidence: Evidence.Evidence
  /** `undefined` where there was no result */
  readonly result: Result | undefined
}

/** Asks the server something. Interruption frees the socket and tells the server nothing: it may be frozen. */
export const ask = (
  wire: Wire,
  client: Client,
  request: { readonly method: string; readonly params?: Record<string, unknown> }
): Effect.Effect<Asked> =>
  Effect.callback((resume, signal) => {
    const record = Record.ofRequest(request)
    // Without evidence it was not even sent: the client is closed.
    const done = (result: Result | undefined) =>
      resume(Effect.succeed({ evidence: record.evidence ?? Evidence.transportFailure("closed"), result }))
    wire
      .track(record, true, () => client.request(request, ResultSchema, patient({ signal })))
      .then(done, () => done(undefined))
  })

/** Asks once whether the server lives. */
export const probe = (wire: Wire, client: Client, rung: Connector.ProbeRung): Effect.Effect<Evidence.Evidence> => {
  switch (rung._tag) {
    case "ping":
      return evidenceOf(ask(wire, client, { method: "ping" }))
    case "tool":
      return evidenceOf(
        ask(wire, client, { method: "tools/call", params: { name: rung.name, arguments: rung.arguments } })
      )
    case "list-tools":
      return evidenceOf(ask(wire, client, { method: "tools/list" }))
    case "discover":
      return evidenceOf(ask(wire, client, { method: "server/discover" }))
    case "options":
      return options(wire)
  }
}

const evidenceOf = Effect.map(({ evidence }: Asked) => evidence)

const options = (wire: Wire): Effect.Effect<Evidence.Evidence> =>
  Effect.promise(async (signal) => {
    const exchange = wire.begin()
    signal.addEventListener("abort", () => exchange.abort(), { once: true })
    try {
      const headers = await wire.headers()
      const response = await wire.send({ method: "OPTIONS", headers, signal: exchange.signal })
      await response.body?.cancel().catch(() => {})
      return response.status >= 200 && response.status <= 299 ? Evidence.answered : wire.refusal(response, headers)
    } catch (error) {
      return Evidence.transportFailure(Failure.ofFetch(error).reason)
    } finally {
      wire.end(exchange)
    }
  })

/** More pages than any server has: one that never stops is not followed for ever. */
const maxPages = 1000

/** The server's tools, from all pages; an empty list where it has none. */
export const tools = Effect.fnUntraced(function* (wire: Wire, client: Client) {
  const found: Array<Connector.Tool> = []
  if (client.getServerCapabilities()?.tools === undefined) return found
  let cursor: string | undefined
  for (let page = 0; page < maxPages; page++) {
    const params = cursor === undefined ? {} : { cursor }
    const { evidence, result } = yield* ask(wire, client, { method: "tools/list", params })
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
  if (!isObject(tool) || typeof tool["name"] !== "string") return []
  const hints = isObject(tool["annotations"]) ? tool["annotations"] : {}
  return [
    { name: tool["name"], readOnly: hints["readOnlyHint"] === true, idempotent: hints["idempotentHint"] === true }
  ]
}

const isObject = (value: unknown): value is Record<string, unknown> => typeof value === "object" && value !== null

/** Subscribes again; an error answer to one is that resource's own matter, a failure of the transport is the session's. */
export const subscribe = (wire: Wire, client: Client, uris: Iterable<string>): Effect.Effect<void, Evidence.Evidence> =>
  Effect.forEach(
    [...uris],
    (uri) =>
      Effect.flatMap(ask(wire, client, { method: "resources/subscribe", params: { uri } }), ({ evidence }) =>
        evidence._tag === "Answered" || evidence._tag === "ErrorAnswer" ? Effect.void : Effect.fail(evidence)
      ),
    { concurrency: 8, discard: true }
  )
