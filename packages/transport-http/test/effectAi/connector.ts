/**
 * A connector whose client is Effect's own `McpClient`. What its transport keeps to itself is read from its `HttpClient`: when a
 * request was written, the status of its answer, and whether the server gave a session id.
 *
 * What cannot be had of Effect 4.1's client:
 * - Interrupting a request waits for `notifications/cancelled`, for 5 s at most: so long does a frozen server hold up the end of
 *   a call and its caller's interruption (a probe's end does not wait, see `unheld`), and the DELETE of a session that closes.
 * - It opens no standing stream and no `subscriptions/listen`, so that a session is lost only where a request meets that, and that a
 *   list has changed is not heard.
 * - It answers nothing that a server asks: a modern result that wants input fails the call (`UnsupportedError`).
 * - The bytes of an answer are not seen, only its head and its end: progress on its stream is no sign of life.
 */
import { Connector, Evidence, type FailureReason, Lists } from "@vmcp-keepalive/core"
import { Context, Effect, Exit, Scope } from "effect"
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

/**
 * It must not follow redirects: of a chain of requests nothing could be told. So `fetch` does not do as it is.
 *
 * The client speaks the one revision that it is made with, so the era is found here: the modern one, and the other one only where an
 * error of a server's says that it does not know the first.
 */
export const make = (url: string): Connector.Connector<McpClient.McpClient, HttpClient.HttpClient> => ({
  kind: "effect-ai",
  exclusive: false,
  connectTimeout: "10 seconds",
  issues: Effect.succeed([]),
  supportsOptions: false,
  open: (host) =>
    openAs(McpProtocol.v2026_07_28, url, host).pipe(
      Effect.catchIf(isOfLegacy, () => openAs(McpProtocol.v2025_11_25, url, host)),
      Effect.mapError(({ evidence }) => evidence)
    )
})

/** Why there is no session. */
interface Unopened {
  readonly evidence: Evidence.Evidence
  /** that of the server's JSON-RPC error, whatever the status it came with */
  readonly code: number | undefined
}

/** Errors that only a server of the modern era makes: it is one, and speaks another revision, or misses something. */
const modernErrors: ReadonlySet<number> = new Set([-32020, -32021, -32022])
/** Statuses with which nobody says what a server speaks. */
const transient: ReadonlySet<number> = new Set([401, 403, 408, 425, 429])

const isOfLegacy = ({ code, evidence }: Unopened): boolean =>
  code !== undefined &&
  code !== internalError &&
  !modernErrors.has(code) &&
  (evidence._tag === "ErrorAnswer" ||
    (evidence._tag === "Refused" && evidence.status < 500 && !transient.has(evidence.status)))
const internalError = -32603

const openAs = Effect.fnUntraced(function* (
  protocol: McpProtocol.ProtocolAdapter<McpClient.ProtocolVersion>,
  url: string,
  host: Connector.SessionHost
) {
  const isModern = protocol.protocolVersion === "2026-07-28"
  const outer = yield* Scope.Scope
  const scope = yield* Scope.fork(outer)
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
  const opening = recording()
  const unopened = (error: McpClientError.McpClientError): Unopened => {
    // the client may find fault with an answer, and with that to its `notifications/initialized`
    const seen = opening.requests.at(-1)?.evidence
    const evidence = seen === undefined || seen._tag === "Answered" ? evidenceOf(error) : seen
    return { evidence, code: "code" in error.reason ? error.reason.code : undefined }
  }
  const opened = Effect.gen(function* () {
    const bare = yield* McpClient.http({ url, protocol }).pipe(Effect.provideService(HttpClient.HttpClient, http))
    const transport = recorded(bare, host, { isModern, isStateful: () => server.isStateful })
    const client = yield* McpClient.make({ name: "vmcp-keepalive", version: "0.0.0" }).pipe(
      Effect.provideService(McpClient.Transport, transport),
      Effect.provideService(CurrentCall, opening)
    )
    return { client, transport }
  })
  const { client, transport } = yield* opened.pipe(
    Scope.provide(scope),
    Effect.mapError(unopened),
    Effect.onError(() => Scope.close(scope, Exit.void))
  )
  let probes = 0
  /** Asks, and gives what was seen. */
  const ask = (method: string, params: Record<string, unknown>) =>
    Effect.suspend(() => {
      const asking = recording()
      const message: McpSchema.JsonRpcRequest = {
        jsonrpc: "2.0",
        id: `probe-${++probes}`,
        method,
        params: isModern ? { ...params, _meta: envelope } : params
      }
      return Effect.match(Effect.provideService(transport.request(message), CurrentCall, asking), {
        onSuccess: () => asking.requests[0]?.evidence ?? Evidence.answered,
        onFailure: (error) => asking.requests[0]?.evidence ?? evidenceOf(error)
      })
    })
  const session: Connector.Session<McpClient.McpClient> = {
    client,
    era: isModern ? "modern" : "legacy",
    stateful: server.isStateful,
    separateAnswers: true,
    call: (traceparent) => {
      const call = recording(traceparent)
      return { client: view(client, call), requests: call.requests, end: () => void (call.isOver = true) }
    },
    probe: (rung) => {
      if (rung._tag === "tool") return unheld(ask("tools/call", { name: rung.name, arguments: rung.arguments }))
      if (rung._tag === "list-tools") return unheld(ask("tools/list", {}))
      return unheld(isModern ? ask("server/discover", {}) : ask("ping", {}))
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
            Effect.mapError((error) => evidenceOf(error))
          )
  }
  return session
})

/** What every request of the modern era says of its client. */
const envelope = {
  "io.modelcontextprotocol/protocolVersion": "2026-07-28",
  "io.modelcontextprotocol/clientInfo": { name: "vmcp-keepalive", version: "0.0.0" },
  "io.modelcontextprotocol/clientCapabilities": {}
}

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
  session: { readonly isModern: boolean; readonly isStateful: () => boolean }
): McpClient.Transport => ({
  ...transport,
  request: Effect.fnUntraced(function* (message, tool) {
    const call = yield* CurrentCall
    if (call.isOver) return yield* over
    const entry: Entry = { ...begun, method: message.method, ...(tool === undefined ? {} : { tool: tool.name }) }
    call.requests.push(entry)
    const withSession = session.isModern || session.isStateful()
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
