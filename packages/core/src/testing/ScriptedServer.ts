/**
 * A server without a network, for tests of apps that hold backends: it answers, keeps silent, refuses, forgets its
 * sessions and dies as the script says, and counts what it executed. Latencies come from the `Clock` of the context, so
 * that `TestClock` drives it.
 *
 * ```ts
 * import { Backend } from "@vmcp-keepalive/core"
 * import { ScriptedServer } from "@vmcp-keepalive/core/testing"
 * import { Effect } from "effect"
 *
 * export const program = Effect.gen(function* () {
 *   const server = ScriptedServer.make()
 *   const backend = yield* Backend.make({ id: "scripted", connector: server.connector })
 *   yield* backend.use((client) => client.callTool("echo"))
 *   server.forgetSessions()
 * })
 * ```
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import type { Change } from "../Changes.ts"
import type { Call, Connector, Listed, ProbeRung, RequestRecord, Session, SessionHost } from "../Connector.ts"
import * as Evidence from "../Evidence.ts"
import type { FailureDetail } from "../FailureDetail.ts"
import type { FailureReason } from "../FailureReason.ts"
import { Listeners } from "../internal/testing/listeners.ts"
import { fateOf, isExecuted, meet } from "../internal/testing/replies.ts"
import { fingerprint, type Kind } from "../Lists.ts"

/**
 * How the server replies to one request.
 *
 * @since 0.1.0
 */
export type Reply =
  /** executes and answers, after the latency */
  | { readonly _tag: "Answer" }
  /** executes nothing and answers with a JSON-RPC error */
  | { readonly _tag: "Error"; readonly code: number }
  /** refuses with an HTTP status, a redirect included, before anything is executed */
  | { readonly _tag: "Refuse"; readonly status: number; readonly retryAfter?: Duration.Input | undefined }
  /** cannot be reached: nothing is sent */
  | {
      readonly _tag: "Unreachable"
      readonly reason: FailureReason
      readonly detail?: FailureDetail | undefined
      readonly code?: string | undefined
    }
  /** executes, and the answer is cut off, or exceeds a bound */
  | { readonly _tag: "Cut"; readonly reason: "stream_cut" | "overflow" }
  /** executes, and answers with a result that is none of the agreed revision */
  | { readonly _tag: "Disagree" }
  /** executes, and never answers */
  | { readonly _tag: "Silence" }

/**
 * An entry of a list, and all that the server says of it: the fields that are not named here may be anything, and count for its
 * fingerprint.
 *
 * @since 0.1.0
 */
export interface Definition {
  /** of a resource its URI */
  readonly name: string
  /** `readOnlyHint` of a tool; default false */
  readonly readOnly?: boolean | undefined
  /** `idempotentHint` of a tool; default false */
  readonly idempotent?: boolean | undefined
  readonly [field: string]: unknown
}

/**
 * What the server does. Each can be set at any time and holds for the requests that begin afterwards.
 *
 * @since 0.1.0
 */
export interface Script {
  /** to `initialize`; default: answers */
  connect: Reply
  /** to every probe; default: answers */
  probe: Reply
  /** to a tool call; default: answers */
  call: (tool: string) => Reply
  /** to a request by another method of the protocol; default: answers */
  request: (method: string) => Reply
  /** of every answer; default: none */
  latency: Duration.Input
  tools: ReadonlyArray<Definition>
  prompts: ReadonlyArray<Definition>
  resources: ReadonlyArray<Definition>
  /** to the reading of a list; default: answers */
  list: (kind: Kind) => Reply
  /** whether credentials that are read again differ from those that were sent; default: they do not */
  otherCredentials: () => boolean
  /** whether a second session is refused (409) until the first is closed; default false */
  singleSession: boolean
}

/**
 * The client that callers get.
 *
 * @since 0.1.0
 */
export interface ScriptedClient {
  /** Executes a tool; resolves with its name, rejects with a `ScriptedError`. */
  readonly callTool: (tool: string, options?: { readonly signal?: AbortSignal | undefined }) => Promise<string>
  /** A read-only protocol method. */
  readonly listTools: (options?: { readonly signal?: AbortSignal | undefined }) => Promise<ReadonlyArray<Definition>>
  /** Any other method; resolves with its name. */
  readonly request: (method: string, options?: { readonly signal?: AbortSignal | undefined }) => Promise<string>
}

/**
 * What the client of the scripted server throws.
 *
 * @since 0.1.0
 */
export class ScriptedError extends Error {
  override readonly name = "ScriptedError"
}

/**
 * A scripted server, and what it has counted.
 *
 * @since 0.1.0
 */
export interface ScriptedServer {
  readonly connector: Connector<ScriptedClient>
  readonly script: Script
  /** the tools that were executed, in order */
  readonly executed: ReadonlyArray<string>
  readonly counts: {
    readonly attempts: number
    readonly probes: number
    /** lists that were read */
    readonly lists: number
    /** sessions that the client has open, drained ones included */
    readonly open: number
    /** who hears of changes */
    readonly listening: number
    /** attempts and probes under way at once, at most */
    readonly concurrent: number
  }
  /** the server restarts: it knows none of its sessions any more */
  readonly forgetSessions: () => void
  /** every open session is known to be dead, as when a child process exits */
  readonly kill: (reason: FailureReason, detail?: FailureDetail) => void
  /** a byte arrives on every open session, and belongs to no answer */
  readonly chunk: () => void
  /** the transport of every open session sees something outside calls and probes */
  readonly observe: (evidence: Evidence.Evidence) => void
  /** the server says on every open session that a list has changed */
  readonly listChanged: (kind: Kind) => void
  /** the server tells of a change, on every open session, all who listen to that */
  readonly changed: (change: Change) => void
  /** a byte arrives of the answer to every request that is under way */
  readonly progress: () => void
}

/**
 * What kind of server, and of transport.
 *
 * @since 0.1.0
 */
export interface Options {
  /** default false */
  readonly exclusive?: boolean | undefined
  /** default `legacy` */
  readonly era?: "legacy" | "modern" | undefined
  /** default true */
  readonly stateful?: boolean | undefined
  /** whether bytes of one answer can be told from those of others; default true, as over HTTP */
  readonly separateAnswers?: boolean | undefined
  /** whether the transport can hear of changes; default true */
  readonly listens?: boolean | undefined
}

/**
 * Makes a server that does everything right until the script is changed.
 *
 * @since 0.1.0
 */
export const make = (options: Options = {}): ScriptedServer => {
  const script: Script = {
    connect: answer,
    probe: answer,
    call: () => answer,
    request: () => answer,
    latency: Duration.zero,
    tools: [],
    prompts: [],
    resources: [],
    list: () => answer,
    otherCredentials: () => false,
    singleSession: false
  }
  const executed: Array<string> = []
  const counts = {
    attempts: 0,
    probes: 0,
    lists: 0,
    open: 0,
    concurrent: 0,
    get listening() {
      return listeners.size
    }
  }
  const hosts = new Set<SessionHost>()
  const known = new Set<SessionHost>()
  const listeners = new Listeners()
  const separateAnswers = options.separateAnswers ?? true
  /** those under way, each with its session */
  const unanswered = new Map<Mutable<RequestRecord>, SessionHost>()
  const heard = (host: SessionHost, record: Mutable<RequestRecord>) => {
    const at = host.alive()
    if (separateAnswers) record.heardAt = at
  }
  let underWay = 0

  const counted = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.acquireUseRelease(
      Effect.sync(() => {
        counts.concurrent = Math.max(counts.concurrent, ++underWay)
      }),
      () => effect,
      () =>
        Effect.sync(() => {
          underWay--
        })
    )

  const open = (host: SessionHost) =>
    Effect.gen(function* () {
      counts.attempts++
      const clock = yield* Clock.Clock
      const now = () => Number(clock.monotonicTimeNanosUnsafe()) / 1e6
      const refusal = script.singleSession && known.size > 0 ? refuse(409) : undefined
      const evidence = yield* counted(meet(refusal ?? script.connect, script.latency, false))
      if (evidence._tag !== "Answered") return yield* Effect.fail(evidence)

      const scope = yield* Effect.scope
      hosts.add(host)
      known.add(host)
      counts.open++
      /** who answers, while somebody waits for an answer */
      let answering: Set<Fiber.Fiber<void>> | undefined
      yield* Scope.addFinalizer(
        scope,
        Effect.suspend(() => {
          hosts.delete(host)
          known.delete(host)
          for (const [record, of] of unanswered) if (of === host) unanswered.delete(record)
          counts.open--
          return answering === undefined ? Effect.void : Fiber.interruptAll(answering)
        })
      )
      const context = yield* Effect.context<never>()
      const run = (effect: Effect.Effect<void>) => {
        const fibers = (answering ??= new Set())
        const fiber = Effect.runForkWith(context)(effect)
        fibers.add(fiber)
        fiber.addObserver(() => fibers.delete(fiber))
        return fiber
      }
      const isKnown = () => known.has(host)

      const request = <A>(
        records: Array<Mutable<RequestRecord>> | undefined,
        method: string,
        tool: string | undefined,
        reply: () => Reply,
        value: () => A,
        signal: AbortSignal | undefined
      ): Promise<A> =>
        new Promise((resolve, reject) => {
          if (records === undefined) return reject(new ScriptedError("the call has ended"))
          const record: Mutable<RequestRecord> = {
            method,
            fate: "unsent",
            evidence: undefined,
            heardAt: undefined,
            refusedAfter: undefined,
            settled: false,
            ...(tool && { tool })
          }
          records.push(record)
          unanswered.set(record, host)
          const writtenAt = now()
          const given = isKnown() ? reply() : refuse(404)
          if (given._tag !== "Unreachable") record.fate = "dispatched"
          if (isExecuted(given) && tool !== undefined) executed.push(tool)
          const fiber = run(
            Effect.map(meet(given, script.latency, true), (evidence) => {
              record.evidence = evidence
              record.fate = given._tag === "Disagree" ? "answered" : fateOf(evidence)
              record.settled = true
              unanswered.delete(record)
              if (record.fate === "refused") record.refusedAfter = now() - writtenAt
              if (evidence._tag !== "TransportFailure" || record.fate === "answered") heard(host, record)
              if (evidence._tag === "Answered") resolve(value())
              else reject(new ScriptedError(evidence._tag))
            })
          )
          signal?.addEventListener("abort", () => {
            fiber.interruptUnsafe()
            unanswered.delete(record)
            record.settled = true
            reject(new ScriptedError("aborted"))
          })
        })

      const session: Session<ScriptedClient> = {
        ...(options.listens !== false && {
          listen: (filter, hearing) => Effect.suspend(() => listeners.listen(filter, hearing, script.latency))
        }),
        client: new View(script, request, undefined),
        era: options.era ?? "legacy",
        stateful: options.stateful ?? true,
        separateAnswers,
        call: () => new View(script, request, []),
        probe: (_rung: ProbeRung) =>
          Effect.suspend(() => {
            counts.probes++
            return counted(meet(isKnown() ? script.probe : refuse(404), script.latency, true))
          }).pipe(
            Effect.tap((evidence) =>
              Effect.sync(() => (evidence._tag === "TransportFailure" ? undefined : host.alive()))
            )
          ),
        refresh: Effect.sync(() => script.otherCredentials()),
        list: (kind) =>
          Effect.suspend(() => {
            counts.lists++
            return meet(isKnown() ? script.list(kind) : refuse(404), script.latency, true)
          }).pipe(
            // as they are when it answers
            Effect.flatMap((evidence) =>
              evidence._tag === "Answered" ? Effect.succeed(script[kind].map(listed)) : Effect.fail(evidence)
            )
          )
      }
      return session
    })

  return {
    connector: {
      kind: "scripted",
      exclusive: options.exclusive ?? false,
      connectTimeout: "30 seconds",
      issues: Effect.succeed([]),
      supportsOptions: true,
      open
    },
    script,
    executed,
    counts,
    forgetSessions: () => known.clear(),
    kill: (reason, detail) => {
      for (const host of [...hosts]) host.lost(reason, detail)
    },
    chunk: () => {
      for (const host of [...hosts]) host.alive()
    },
    observe: (evidence) => {
      for (const host of [...hosts]) host.observe(evidence)
    },
    progress: () => {
      for (const [record, host] of unanswered) heard(host, record)
    },
    listChanged: (kind) => {
      for (const host of [...hosts]) host.listChanged(kind)
    },
    changed: (change) => {
      listeners.changed(change)
    }
  }
}

/**
 * The reply that answers.
 *
 * @since 0.1.0
 */
export const answer: Reply = { _tag: "Answer" }

/**
 * The reply that executes and never answers.
 *
 * @since 0.1.0
 */
export const silence: Reply = { _tag: "Silence" }

/**
 * The reply that executes and is cut off.
 *
 * @since 0.1.0
 */
export const cut: Reply = { _tag: "Cut", reason: "stream_cut" }

/**
 * The reply that executes and is more than a bound allows.
 *
 * @since 0.1.0
 */
export const overflow: Reply = { _tag: "Cut", reason: "overflow" }

/**
 * The reply that executes and answers with what is none of the agreed revision: in MCP 2026-07-28, a result without `resultType`.
 *
 * @since 0.1.0
 */
export const disagree: Reply = { _tag: "Disagree" }

/**
 * The reply that refuses with a status.
 *
 * @since 0.1.0
 */
export const refuse = (status: number, retryAfter?: Duration.Input): Reply => ({
  _tag: "Refuse",
  status,
  ...(retryAfter === undefined ? {} : { retryAfter })
})

/**
 * The reply of an address where nobody listens, or that fails otherwise before anything is sent.
 *
 * @since 0.1.0
 */
export const unreachable = (reason: FailureReason = "refused", detail?: FailureDetail, code?: string): Reply => ({
  _tag: "Unreachable",
  reason,
  ...(detail === undefined ? {} : { detail }),
  ...(code === undefined ? {} : { code })
})

/**
 * The reply with a JSON-RPC error.
 *
 * @since 0.1.0
 */
export const error = (code: number): Reply => ({ _tag: "Error", code })

const listed = (definition: Definition): Listed => ({
  name: definition.name,
  fingerprint: fingerprint(definition),
  replayable: definition.readOnly === true || definition.idempotent === true
})

type Mutable<A> = { -readonly [Key in keyof A]: A[Key] }

type Request = <A>(
  records: Array<Mutable<RequestRecord>> | undefined,
  method: string,
  tool: string | undefined,
  reply: () => Reply,
  value: () => A,
  signal: AbortSignal | undefined
) => Promise<A>

type CallOptions = Parameters<ScriptedClient["listTools"]>[0]

/**
 * A call, and its client. A class, since one is made for each call: V8 allocates the functions of an object literal where only a full collection
 * frees them.
 */
class View implements Call<ScriptedClient>, ScriptedClient {
  readonly requests: Array<Mutable<RequestRecord>>
  readonly #script: Script
  readonly #request: Request
  /** whether it is of a call: requests outside calls are not recorded for anybody */
  readonly #isOfCall: boolean
  #hasEnded = false

  constructor(script: Script, request: Request, requests: Array<Mutable<RequestRecord>> | undefined) {
    this.#script = script
    this.#request = request
    this.#isOfCall = requests !== undefined
    this.requests = requests ?? []
  }

  get client(): ScriptedClient {
    return this
  }

  end(): void {
    this.#hasEnded = true
  }

  callTool(tool: string, options?: CallOptions): Promise<string> {
    const reply = () => this.#script.call(tool)
    return this.#request(this.#records, "tools/call", tool, reply, () => tool, options?.signal)
  }

  listTools(options?: CallOptions): Promise<ReadonlyArray<Definition>> {
    const tools = () => this.#script.tools
    return this.#request(this.#records, "tools/list", undefined, () => answer, tools, options?.signal)
  }

  request(method: string, options?: CallOptions): Promise<string> {
    const reply = () => this.#script.request(method)
    return this.#request(this.#records, method, undefined, reply, () => method, options?.signal)
  }

  /** where its requests are written; `undefined` once its call has ended */
  get #records(): Array<Mutable<RequestRecord>> | undefined {
    if (this.#hasEnded) return undefined
    return this.#isOfCall ? this.requests : []
  }
}
