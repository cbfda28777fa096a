/**
 * Requests of a transport's own: probes, lists, subscriptions. Each is told by its record. None has a timeout, and no
 * client sees them.
 */
import { Connector, Evidence, Lists } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type { Capabilities } from "./ClientKind.ts"
import type { Limits } from "./Limits.ts"
import * as Message from "./Message.ts"
import * as RequestRecord from "./RequestRecord.ts"
import type { Question, Requests } from "./Requests.ts"
import { withTraceparent } from "./internal/traceparent.ts"

/**
 * What a request brought.
 *
 * @since 0.1.0
 */
export interface Asked {
  readonly evidence: Evidence.Evidence
  /** `undefined` where there was no result */
  readonly result: Message.Result | undefined
}

/**
 * Asks the server something. Interruption frees what the request holds and tells the server nothing: it may be frozen.
 *
 * @since 0.1.0
 */
export const ask = (requests: Requests, question: Question): Effect.Effect<Asked> =>
  Effect.withFiber(({ cache: { span } }) => {
    const traced = withTraceparent(question, Connector.traceparent(span))
    return Effect.callback((resume) => {
      const record = RequestRecord.ofRequest(question)
      const cancel = requests.ask({ ...traced, record }, (result) =>
        // Without evidence it was not even sent: the session is over.
        resume(Effect.succeed({ evidence: record.evidence ?? Evidence.transportFailure("closed"), result }))
      )
      return Effect.sync(cancel)
    })
  })

/**
 * What a probe can ask over JSON-RPC, whatever the transport: all but `options`, which is HTTP's.
 *
 * @since 0.1.0
 */
export type Rung = Exclude<Connector.ProbeRung, { readonly _tag: "options" }>

/**
 * Asks once whether the server lives.
 *
 * @since 0.1.0
 */
export const probe = (requests: Requests, rung: Rung): Effect.Effect<Evidence.Evidence> =>
  Effect.map(ask(requests, questionOf(rung)), ({ evidence }) => evidence)

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

/**
 * A list of the server's, from all pages: `resources` has its resource templates, too. Empty, and not asked for, where the server
 * does not declare the capability. A cursor that comes twice in a row ends the list. Of each entry only its name is kept, with a
 * fingerprint of all that is said of it. Fails with what was seen instead of a page: `protocol` where the answer is no list,
 * `overflow` where there are more entries or pages than the limits allow.
 *
 * @since 0.1.0
 */
export const list = (
  requests: Requests,
  capabilities: Capabilities | undefined,
  limits: Pick<Limits, "entries" | "pages">,
  kind: Lists.Kind
): Effect.Effect<ReadonlyArray<Connector.Listed>, Evidence.Evidence> =>
  capabilities?.[kind] === undefined ? Effect.succeed([]) : read(requests, limits, sources[kind])

/**
 * Whether a method asks for a list: the answer to it is long where that to another question of a transport's own is short.
 *
 * @since 0.1.0
 */
export const isList = (method: string): boolean => method.endsWith("/list")

interface Source {
  readonly method: string
  /** of the result, and of each entry */
  readonly field: string
  readonly name: string
  /** whether a server that knows no such method has none, whatever it declares */
  readonly optional?: boolean
}

const sources: { readonly [Kind in Lists.Kind]: ReadonlyArray<Source> } = {
  tools: [{ method: "tools/list", field: "tools", name: "name" }],
  prompts: [{ method: "prompts/list", field: "prompts", name: "name" }],
  resources: [
    { method: "resources/list", field: "resources", name: "uri" },
    { method: "resources/templates/list", field: "resourceTemplates", name: "uriTemplate", optional: true }
  ]
}

const read = Effect.fnUntraced(function* (
  requests: Requests,
  limits: Pick<Limits, "entries" | "pages">,
  from: ReadonlyArray<Source>
) {
  const found: Array<Connector.Listed> = []
  /** what is no entry counts, though it is left out */
  let count = 0
  for (const { field, method, name, optional } of from) {
    let cursor: string | undefined
    for (let page = 0; ; page++) {
      if (page === limits.pages) return yield* Effect.fail(tooMany("pages"))
      const { evidence, result } = yield* ask(requests, { method, params: cursor === undefined ? {} : { cursor } })
      if (optional === true && evidence._tag === "ErrorAnswer" && evidence.code === methodNotFound) break
      const listed = result?.[field]
      if (result === undefined || !Array.isArray(listed))
        return yield* Effect.fail(evidence._tag === "Answered" ? Evidence.transportFailure("protocol") : evidence)
      count += listed.length
      if (count > limits.entries) return yield* Effect.fail(tooMany("entries"))
      for (const definition of listed) {
        const entry = entryOf(definition, name)
        if (entry !== undefined) found.push(entry)
      }
      const next = result["nextCursor"]
      if (typeof next !== "string" || next === cursor) break
      cursor = next
    }
  }
  return found
})

const tooMany = (setting: "entries" | "pages"): Evidence.Evidence =>
  Evidence.transportFailure("overflow", { summary: `the list has more than limits.${setting}`, output: [] })

const methodNotFound = -32601

const entryOf = (definition: unknown, field: string): Connector.Listed | undefined => {
  if (!Message.isObject(definition) || typeof definition[field] !== "string") return undefined
  const hints = Message.isObject(definition["annotations"]) ? definition["annotations"] : {}
  return {
    name: definition[field],
    fingerprint: Lists.fingerprint(definition),
    replayable: hints["readOnlyHint"] === true || hints["idempotentHint"] === true
  }
}

/**
 * Subscribes again, 8 at a time. An error answer to one is that resource's own matter; a failure of the transport is the
 * session's, and fails with what was seen.
 *
 * @since 0.1.0
 */
export const subscribe = (requests: Requests, uris: Iterable<string>): Effect.Effect<void, Evidence.Evidence> =>
  Effect.forEach(
    [...uris],
    (uri) =>
      Effect.flatMap(ask(requests, { method: "resources/subscribe", params: { uri } }), ({ evidence }) =>
        evidence._tag === "Answered" || evidence._tag === "ErrorAnswer" ? Effect.void : Effect.fail(evidence)
      ),
    { concurrency: 8, discard: true }
  )
