/**
 * The port that a transport implements: how to open a session with a backend, and what a session can be asked.
 *
 * A transport adapts one kind of client (`Client`). It reports what it sees as {@link Evidence} and decides nothing:
 * no retry, no reconnection of the session, no timeout of its own except those that end its own cleaning up. It may be
 * used for many sessions of many backends, so it keeps no state between two calls of `open`.
 */
import type * as Duration from "effect/Duration"
import type * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import type * as Tracer from "effect/Tracer"
import type { ConfigurationIssue } from "./BackendError.ts"
import type { Evidence } from "./Evidence.ts"
import type { FailureDetail } from "./FailureDetail.ts"
import type { FailureReason } from "./FailureReason.ts"
import type { Notice } from "./KeepaliveEvent.ts"
import type { Change, Filter } from "./Changes.ts"
import type { Kind } from "./Lists.ts"

/**
 * Knows how to open a session. `R` is what it needs from its surroundings.
 *
 * @since 0.1.0
 */
export interface Connector<out Client, out R = never> {
  /** a word for logs and spans, such as `http` or `stdio` */
  readonly kind: string
  /** whether two sessions at once are impossible, so that a planned replacement closes the old one first */
  readonly exclusive: boolean
  /** the default of the policy's `connectTimeout` for this kind of transport */
  readonly connectTimeout: Duration.Input
  /**
   * Looks for what is wrong with the settings, without starting or asking anything; `Backend.make` reports it together
   * with what is wrong with the policy.
   */
  readonly issues: Effect.Effect<ReadonlyArray<ConfigurationIssue>, never, R>
  /** whether `probe` understands the `options` rung */
  readonly supportsOptions: boolean
  /**
   * Where its attempts arrive, which are paced there together with those of all others (`Starts`). Without one only the limit of
   * all attempts holds.
   */
  readonly origin?: Origin | undefined
  /**
   * Connects and shakes hands: the server has answered `initialize` or `server/discover`, since a session of the modern era is not
   * asked again before callers get it. The session lives until the scope closes; the closing is bounded and tells the server.
   * Fails with what was seen. Interruption leaves nothing behind. It is never run twice at once for a backend.
   */
  readonly open: (host: SessionHost) => Effect.Effect<Session<Client>, Evidence, R | Scope.Scope>
}

/**
 * What many backends may have in common, and must not be overrun when all of them attempt at once: a host, or this machine.
 *
 * @since 0.1.0
 */
export interface Origin {
  /** the same for all that share it; with HTTP the origin of the URL. It is told nowhere. */
  readonly key: string
  /**
   * How many attempts at a time it has room for, at least 1; default: `perOrigin` of `Starts`. It is read whenever one begins or waits: another one
   * holds from then on, and takes back no permit.
   */
  readonly limit?: number | undefined
}

/**
 * The backend, as a session sees it. Every method is synchronous, cheap and safe to call after the session's end.
 *
 * @since 0.1.0
 */
export interface SessionHost {
  /** A byte came from the server, on any stream. Returns the time that was noted for it, in monotonic milliseconds. */
  readonly alive: () => number
  /**
   * Something was seen outside calls and probes; `Evidence.ofStream` says what it counts as. (What a call met is in its
   * {@link Call.requests}, what a probe met is its result.) Of a stream that the session keeps open (the standing GET,
   * `subscriptions/listen`), and that was open before, a transport reports:
   *
   * - its reopening that was refused or failed, once an outage. A stream that only ended is reopened and not reported
   * - the 405 to its reopening: the session is lost. A stream that was never open is only not offered, and not reported
   * - `transportFailure("timeout")` when it is silent for three times as long as between the comments that came on it before
   */
  readonly observe: (evidence: Evidence) => void
  /** the session is known to be dead: the transport was closed for good, the child exited */
  readonly lost: (reason: FailureReason, detail?: FailureDetail) => void
  /** How to read the last lines that the server wrote: done when an attempt fails, for its errors. */
  readonly output: (last: () => ReadonlyArray<string>) => void
  /** something that users may want to see and that changes nothing, and how often it was seen: default once */
  readonly notice: (notice: Notice, count?: number) => void
  /**
   * The server says that a list has changed (`notifications/tools/list_changed`, …); the client is told as well. However often it
   * is said, the list is read a bounded number of times.
   */
  readonly listChanged: (kind: Kind) => void
  /**
   * URIs of the resources that the backend's users have subscribed to: the session adds and removes as
   * `resources/subscribe` and `resources/unsubscribe` are answered, and subscribes again to all of them when it opens.
   */
  readonly subscriptions: Set<string>
  /** What is remembered of the server's era from one session to the next. Left out: nothing is. */
  readonly era?: EraMemory | undefined
  /**
   * Asked directly before a request or a notification leaves, cancellations excepted; where it says no, nothing of it does, and the request is proven
   * unsent. For whoever must not act any more as soon as something else may: a lease that has ended while this process was frozen. Left out: it may.
   */
  readonly maySend?: (() => boolean) | undefined
  /** What is remembered of the sessions that the server keeps, beyond this process. Left out: nothing is. */
  readonly sessions?: SessionMemory | undefined
}

/**
 * That a server is of the legacy era (MCP up to 2025-11-25), so that the next session need not find it out again. Of the modern one
 * nothing is remembered: finding it out is how it is connected to.
 *
 * @since 0.1.0
 */
export interface EraMemory {
  /**
   * Until when, in milliseconds of the `Clock`'s monotonic time. A session sets it when it has opened and the server
   * keeps something for it (a session id, a child process): a day at most. The backend takes it back when an attempt fails.
   */
  legacyUntil: number | undefined
}

/**
 * Which sessions the server keeps, written down where another process finds them: one that is killed ends none of its own, and a server that allows
 * one session only refuses every other until then. `session` is what ends it: a secret, which connectors of the same kind understand.
 *
 * @since 0.1.0
 */
export interface SessionMemory {
  /** Those that others have left. A session that is opened ends those of its server first, and waits for that a moment at most. */
  readonly left: ReadonlyArray<Redacted.Redacted<string>>
  /** The server keeps a session: called before it is used, and also where its opening fails after that. */
  readonly began: (session: Redacted.Redacted<string>) => void
  /** The server has ended it, or has accepted another one after it was told to. */
  readonly ended: (session: Redacted.Redacted<string>) => void
}

/**
 * One live connection to a server.
 *
 * @since 0.1.0
 */
export interface Session<out Client> {
  /** the bare client, for `setup` */
  readonly client: Client
  /**
   * `legacy`: MCP up to 2025-11-25, opened by `initialize` and asked with `ping`; `modern`: MCP 2026-07-28, opened and asked by
   * `server/discover`
   */
  readonly era: "legacy" | "modern"
  /**
   * Whether something over there lives for us alone, so that `auto` keeps it alive also while nobody calls: an HTTP session (the
   * server gave a session id), a child process
   */
  readonly stateful: boolean
  /**
   * Whether the bytes of one request's answer can be told from those of others, so that its records have `heardAt`: with
   * HTTP every answer has a stream of its own, with stdio all share one.
   */
  readonly separateAnswers: boolean
  /**
   * Begins a call: a view of the client that records what becomes of every request made through it. `traceparent` (W3C
   * Trace Context) goes into the `_meta` of each (MCP SEP-414), unless the caller has put one there.
   */
  readonly call: (traceparent?: string) => Call<Client>
  /** Asks once whether the server lives, without a timeout; interruption frees what it holds, sockets included. */
  readonly probe: (rung: ProbeRung) => Effect.Effect<Evidence>
  /** Reads the credentials again; requests from then on carry them. Whether they differ from those that were sent last. */
  readonly refresh: Effect.Effect<boolean>
  /**
   * Reads a list of the server's; an empty one, without asking, where it does not declare the capability. Fails with reason `overflow`
   * where the list is longer than a bound. Interruption frees what it holds.
   */
  readonly list: (kind: Kind) => Effect.Effect<ReadonlyArray<Listed>, Evidence>
  /**
   * Hears of changes until it is interrupted, also where the session ends before. What ends is opened again, what is refused is asked for
   * again later; where the server does not offer it, `opened` is called with nothing. Interruption frees what it holds, and tells the
   * server. Left out: nothing is heard, and after each session everything may have changed.
   */
  readonly listen?: ((filter: Filter, hearing: Hearing) => Effect.Effect<never>) | undefined
}

/**
 * Who hears of changes on a session.
 *
 * @since 0.1.0
 */
export interface Hearing {
  /** From now on the server tells of so much. Called again after a gap within the session. */
  readonly opened: (honored: Filter) => void
  readonly changed: (change: Change) => void
}

/**
 * One question that a probe can ask.
 *
 * @since 0.1.0
 */
export type ProbeRung =
  | { readonly _tag: "ping" }
  | { readonly _tag: "tool"; readonly name: string; readonly arguments: Readonly<Record<string, unknown>> }
  | { readonly _tag: "list-tools" }
  | { readonly _tag: "discover" }
  | { readonly _tag: "options" }

/**
 * What the core needs to know of an entry of a list.
 *
 * @since 0.1.0
 */
export interface Listed {
  /** of a resource its URI, of a resource template its URI template */
  readonly name: string
  /** of the whole definition: what `Lists.fingerprint` makes of it */
  readonly fingerprint: number
  /**
   * whether the server says that calling it twice does what calling it once does: `readOnlyHint` or `idempotentHint` of MCP's
   * `ToolAnnotations`, false where they are absent and of what is no tool
   */
  readonly replayable: boolean
}

/**
 * One use of a session by a caller.
 *
 * @since 0.1.0
 */
export interface Call<out Client> {
  /** the client as the caller gets it: without the SDK's own timeout unless the caller sets one */
  readonly client: Client
  /** every request made so far through `client`, in order; the entries change as the requests proceed */
  readonly requests: ReadonlyArray<RequestRecord>
  /** The call is over, and not well: `client` begins no further request, whatever the callback still does with it. */
  readonly end: () => void
}

/**
 * What became of one request.
 *
 * @since 0.1.0
 */
export interface RequestRecord {
  readonly method: string
  /** the name of the tool, where `method` is `tools/call` */
  readonly tool?: string | undefined
  /**
   * - `unsent`: nothing of it reached a server: not written yet, or no connection could be made
   * - `refused`: the server, or a proxy, refused it with a status 4xx, or with a redirect 307 or 308 that was not followed; a body
   *   that says -32022 does not make it an answer
   * - `dispatched`: it may have reached the server, and there is no answer: also after 5xx, and after 301, 302 and 303, which
   *   may be what a server says that has done it
   * - `answered`: a result or a JSON-RPC error came over the wire, also a result that is none of the agreed revision (in MCP
   *   2026-07-28 one without `resultType`), whose evidence is `transportFailure("protocol")`
   */
  readonly fate: "unsent" | "refused" | "dispatched" | "answered"
  /** what ended it; `undefined` while it is under way, and after a caller's own abort or deadline */
  readonly evidence: Evidence | undefined
  /**
   * When the last byte of its own answer came, as {@link SessionHost.alive} returns it; `undefined` before the first, and where
   * {@link Session.separateAnswers} is false.
   */
  readonly heardAt: number | undefined
  /** milliseconds from when it was written to its refusal; `undefined` unless its fate is `refused` */
  readonly refusedAfter: number | undefined
  /** whether the caller has its answer or an error: what is not settled may still be sent */
  readonly settled: boolean
}

/**
 * A span as a request carries it in its `_meta` (W3C Trace Context; MCP SEP-414). None where there is no span, and where its
 * ids are not what W3C allows: so it is where tracing is disabled, and with ids of a tracer's own kind.
 *
 * @since 0.1.0
 */
export const traceparent = (span: Tracer.AnySpan | undefined): string | undefined => {
  if (span === undefined) return undefined
  // Zipkin's trace ids of 64 bits are padded.
  const written = `00-${span.traceId.padStart(32, "0")}-${span.spanId}-${span.sampled ? "01" : "00"}`
  return valid.test(written) ? written : undefined
}

const valid = /^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[01]$/
