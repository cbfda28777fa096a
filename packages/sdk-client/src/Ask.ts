/**
 * Requests of a transport's own: probes, the list of tools, subscriptions. Each is told by its record. None has a timeout, and no
 * client sees them.
 */
import { Connector, Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
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
 * The server's tools, from all pages; an empty list where it says that it has none. A cursor that comes twice in a row ends the
 * list. Fails with what was seen instead of a page: `protocol` where the answer is no list, `overflow` where there are more
 * tools or pages than the limits allow.
 *
 * @since 0.1.0
 */
export const tools = (
  requests: Requests,
  capabilities: { readonly tools?: unknown } | undefined,
  limits: Pick<Limits, "tools" | "pages">
): Effect.Effect<ReadonlyArray<Connector.Tool>, Evidence.Evidence> =>
  Effect.gen(function* () {
    const found: Array<Connector.Tool> = []
    if (capabilities?.tools === undefined) return found
    let cursor: string | undefined
    for (let page = 0; page < limits.pages; page++) {
      const params = cursor === undefined ? {} : { cursor }
      const { evidence, result } = yield* ask(requests, { method: "tools/list", params })
      const listed = result?.["tools"]
      if (result === undefined || !Array.isArray(listed))
        return yield* Effect.fail(evidence._tag === "Answered" ? Evidence.transportFailure("protocol") : evidence)
      if (found.length + listed.length > limits.tools) return yield* Effect.fail(tooMany)
      for (const tool of listed) {
        const read = toolOf(tool)
        if (read !== undefined) found.push(read)
      }
      const next = result["nextCursor"]
      if (typeof next !== "string" || next === cursor) return found
      cursor = next
    }
    return yield* Effect.fail(tooMany)
  })

const tooMany = Evidence.transportFailure("overflow", { summary: "the list of tools has no end", output: [] })

const toolOf = (tool: unknown): Connector.Tool | undefined => {
  if (!Message.isObject(tool) || typeof tool["name"] !== "string") return undefined
  const hints = Message.isObject(tool["annotations"]) ? tool["annotations"] : {}
  return { name: tool["name"], readOnly: hints["readOnlyHint"] === true, idempotent: hints["idempotentHint"] === true }
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
