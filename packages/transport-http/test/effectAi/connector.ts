/**
 * A connector whose client is Effect's own `McpClient`. What its transport keeps to itself is read from its `HttpClient`: when a
 * request was written, the status of its answer, and whether the server gave a session id.
 *
 * What cannot be had of Effect 4.1's client:
 * - Interrupting a request waits for `notifications/cancelled`, for 5 s at most: so long does a frozen server hold up the end of
 *   a call and its caller's interruption (a probe's end does not wait, see `unheld`), and the DELETE of a session that closes.
 * - It opens no standing stream, so that a session is lost only where a request meets that: `host.lost` is never called.
 * - The bytes of an answer are not seen, only its head and its end: progress on its stream is no sign of life.
 */
import { Connector, Evidence, type FailureReason, Lists } from "@vmcp-keepalive/core"
import { Context, Effect, Exit } from "effect"
import { McpClient, McpClientError, McpProtocol, type McpSchema } from "effect/ai"
import { HttpClient } from "effect/http"
import { retryAfter } from "../../src/internal/http/failure.ts"

type Mutable<A> = { -readonly [Key in keyof A]: A[Key] }

interface Entry extends Mutable<Connector.RequestRecord> {
  writtenAt: number
  /** of the answer to the request itself: what its fiber sends after it (`notifications/cancelled`) does not count */
  status: number | undefined
}

/** What one call records. */
interface Recording {
  readonly requests: Array<Entry>
  readonly traceparent: string | undefined
  isOver: boolean
}

const recording = (traceparent?: string): Recording => ({ requests: [], traceparent, isOver: false })
/** The call for which a fiber makes its requests: the client is shared by all of them. */
const CurrentCall = Context.Reference<Recording>("test/effectAi/CurrentCall", { defaultValue: recording })
/** The request for which a fiber uses the `HttpClient`. */
const CurrentEntry = Context.Reference<Entry | undefined>("test/effectAi/CurrentEntry", {
  defaultValue: () => undefined
})

/** It must not follow redirects: of a chain of requests nothing could be told. So `fetch` does not do as it is. */
export const make = (url: string): Connector.Connector<McpClient.McpClient, HttpClient.HttpClient> => ({
  kind: "effect-ai",
  exclusive: false,
  connectTimeout: "10 seconds",
  issues: Effect.succeed([]),
  supportsOptions: false,
  open: Effect.fnUntraced(function* (host) {
    const server = { isStateful: false }
    const http = HttpClient.transform(yield* HttpClient.HttpClient, (exchange) =>
      Effect.flatMap(CurrentEntry, (entry) => {
        if (entry?.fate === "unsent") Object.assign(entry, { fate: "dispatched", writtenAt: performance.now() })
        return Effect.tap(exchange, ({ headers, status }) => {
          const heardAt = host.alive()
          if (headers["mcp-session-id"] !== undefined) server.isStateful = true
          if (entry === undefined || entry.status !== undefined) return Effect.void
          return Effect.sync(() => Object.assign(entry, { status, heardAt }))
        })
      })
    )
    const bare = yield* McpClient.http({ url, protocol: McpProtocol.v2025_11_25 }).pipe(
      Effect.provideService(HttpClient.HttpClient, http),
      Effect.mapError(evidenceOf)
    )
    const transport = recorded(bare, host, () => server.isStateful)
    const opening = recording()
    const client = yield* McpClient.make({ name: "vmcp-keepalive", version: "0.0.0" }).pipe(
      Effect.provideService(McpClient.Transport, transport),
      Effect.provideService(CurrentCall, opening),
      // the client may find fault with an answer, and with that to its `notifications/initialized`
      Effect.mapError((error) => {
        const seen = opening.requests.at(-1)?.evidence
        return seen === undefined || seen._tag === "Answered" ? evidenceOf(error) : seen
      })
    )
    let probes = 0
    /** Asks, and gives what was seen. */
    const ask = (method: string, params: Record<string, unknown>) =>
      Effect.suspend(() => {
        const asking = recording()
        const message = { jsonrpc: "2.0", id: `probe-${++probes}`, method, params } as const
        return Effect.match(Effect.provideService(transport.request(message), CurrentCall, asking), {
          onSuccess: () => asking.requests[0]?.evidence ?? Evidence.answered,
          onFailure: (error) => asking.requests[0]?.evidence ?? evidenceOf(error)
        })
      })
    return {
      client,
      era: "legacy",
      stateful: server.isStateful,
      separateAnswers: true,
      call: (traceparent) => {
        const call = recording(traceparent)
        return { client: view(client, call), requests: call.requests, end: () => void (call.isOver = true) }
      },
      probe: (rung) => {
        if (rung._tag === "tool") return unheld(ask("tools/call", { name: rung.name, arguments: rung.arguments }))
        return unheld(rung._tag === "list-tools" ? ask("tools/list", {}) : ask("ping", {}))
      },
      refresh: Effect.succeed(false),
      list: (kind) =>
        kind !== "tools"
          ? Effect.succeed([])
          : client.listTools().pipe(
              Effect.map((tools) =>
                tools.map((tool) => ({
                  name: tool.name,
                  fingerprint: Lists.fingerprint(tool),
                  replayable: tool.annotations?.readOnlyHint === true || tool.annotations?.idempotentHint === true
                }))
              ),
              Effect.mapError(evidenceOf)
            )
    }
  })
})

/** Interruption does not wait for the end of what it interrupts. */
const unheld = <A>(effect: Effect.Effect<A>): Effect.Effect<A> =>
  Effect.callback((resume) => {
    const fiber = Effect.runFork(effect)
    fiber.addObserver(resume)
    return Effect.sync(() => fiber.interruptUnsafe())
  })

/** The client whose requests are those of the call, on whatever fiber its effects run. */
const view = (client: McpClient.McpClient, call: Recording): McpClient.McpClient => {
  const within = Effect.provideService(CurrentCall, call)
  const { callTool } = client
  return {
    ...client,
    listTools: (options) => within(client.listTools(options)),
    listPrompts: (options) => within(client.listPrompts(options)),
    getPrompt: (params, options) => within(client.getPrompt(params, options)),
    listResources: (options) => within(client.listResources(options)),
    readResource: (params, options) => within(client.readResource(params, options)),
    // its overloads differ in what the schema makes of the result alone
    callTool: ((params: Parameters<typeof callTool>[0], options: Parameters<typeof callTool>[1]) =>
      within(callTool(params, options))) as McpClient.McpClient["callTool"]
  }
}

/** The transport that records what becomes of every request. */
const recorded = (
  transport: McpClient.Transport,
  host: Connector.SessionHost,
  isStateful: () => boolean
): McpClient.Transport => ({
  ...transport,
  request: Effect.fnUntraced(function* (message, tool) {
    const call = yield* CurrentCall
    if (call.isOver) return yield* over
    const entry: Entry = { ...begun, method: message.method, ...(tool === undefined ? {} : { tool: tool.name }) }
    call.requests.push(entry)
    const withSession = isStateful()
    return yield* transport.request(traced(message, call.traceparent), tool).pipe(
      Effect.provideService(CurrentEntry, entry),
      Effect.onExit((exit) => Effect.sync(() => settle(entry, exit, withSession, host)))
    )
  })
})

const begun = {
  fate: "unsent",
  evidence: undefined,
  heardAt: undefined,
  refusedAfter: undefined,
  settled: false,
  writtenAt: 0,
  status: undefined
} as const

/** Fails what a call that is over would still begin. */
const over = new McpClientError.McpClientError({
  reason: new McpClientError.ClosedError({ description: "The call has ended" })
})

const traced = (message: McpSchema.JsonRpcRequest, traceparent: string | undefined): McpSchema.JsonRpcRequest => {
  if (traceparent === undefined) return message
  const { _meta } = message.params ?? {}
  return { ...message, params: { ...message.params, _meta: { traceparent, ...(typeof _meta === "object" && _meta) } } }
}

/** What is not proven to have been left alone stays dispatched; interrupted, it has no evidence. */
const settle = (
  entry: Entry,
  exit: Exit.Exit<McpSchema.JsonRpcResponse, McpClientError.McpClientError>,
  withSession: boolean,
  host: Connector.SessionHost
) => {
  entry.settled = true
  if (Exit.isSuccess(exit)) {
    entry.fate = "answered"
    entry.heardAt = host.alive()
    entry.evidence = "error" in exit.value ? Evidence.errorAnswer(exit.value.error.code) : Evidence.answered
    return
  }
  const error = Exit.findErrorOption(exit)
  if (error._tag === "None") return
  const evidence = evidenceOf(error.value, entry.status, withSession)
  entry.evidence = evidence
  // nobody listened, or there was nobody to ask: no connection, so no byte
  if (evidence._tag === "TransportFailure" && (evidence.reason === "refused" || evidence.reason === "dns")) {
    entry.fate = "unsent"
  } else if (evidence._tag === "Refused" && isRefusal(evidence.status) && entry.status === evidence.status) {
    entry.fate = "refused"
    entry.refusedAfter = performance.now() - entry.writtenAt
  }
}

const isRefusal = (status: number) => (status >= 400 && status < 500) || status === 307 || status === 308

/** By the tag of the reason; `status` is that of the answer that came, if one did. */
const evidenceOf = (error: McpClientError.McpClientError, status?: number, withSession = false): Evidence.Evidence => {
  const { reason } = error
  switch (reason._tag) {
    case "HttpError": {
      const after = retryAfter(reason.retryAfter, Date.now())
      return Evidence.refused({
        status: reason.status,
        withSession,
        ...(after === undefined ? {} : { retryAfter: after })
      })
    }
    case "ClosedError":
      // what is under way when its transport closes fails with the same error as what was refused with 404
      if (reason.sessionExpired === true && (status === undefined || status === 404))
        return Evidence.refused({ status: 404, withSession: true })
      return Evidence.transportFailure("closed")
    case "TransportError":
      if (status !== undefined) return Evidence.transportFailure("stream_cut")
      return ofErrno(reason.cause)
    case "LimitError":
      return Evidence.transportFailure("overflow")
    case "TimeoutError":
      return Evidence.transportFailure("timeout")
    default:
      return Evidence.transportFailure("protocol")
  }
}

/** The errno that a chain of causes ends with. */
const ofErrno = (cause: unknown): Evidence.Evidence => {
  if (!(cause instanceof Error)) return Evidence.transportFailure("unknown")
  const code = "code" in cause && typeof cause.code === "string" ? cause.code : undefined
  if (code === undefined && cause.cause !== undefined) return ofErrno(cause.cause)
  const reason = code === undefined ? "unknown" : (reasons[code] ?? "reset")
  return Evidence.transportFailure(reason, undefined, code)
}

const reasons: Readonly<Record<string, FailureReason.FailureReason>> = { ECONNREFUSED: "refused", ENOTFOUND: "dns" }
