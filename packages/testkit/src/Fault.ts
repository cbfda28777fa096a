/**
 * What a `FaultProxy` can do to traffic, and to which part of it.
 *
 * A fault is plain data. Each takes a selector (`on`) that names the exchanges (an HTTP request with its answer) it
 * affects, by default every one, and `times`, after which it removes itself.
 */
import { Data } from "effect"
import type { Duration } from "effect"

/** The HTTP methods of MCP's Streamable HTTP transport. */
export type Method = "GET" | "POST" | "DELETE" | "OPTIONS"

/** Which exchanges a fault affects: all that fulfil every given field. */
export interface Selector {
  readonly method?: Method | ReadonlyArray<Method>
  /** Whether the request carries `mcp-session-id`. */
  readonly session?: boolean
  /** Whether the request carries `last-event-id`: `true` selects a resuming GET, `false` the others. */
  readonly resuming?: boolean
  /** JSON-RPC method in the POST's body, such as `"tools/call"` or `"notifications/initialized"`. */
  readonly rpc?: string | ReadonlyArray<string>
}

interface Selected {
  /** Default: every exchange. */
  readonly on?: Selector
  /** The fault removes itself after striking this many exchanges. Default: never. */
  readonly times?: number
}

/**
 * The closed set of faults. Each says when it *strikes*, that is, what its mark is the time of.
 *
 * A fault without `on` and `times` that ends connections also ends the idle kept-alive ones; with either it ends only
 * those that carry a selected exchange.
 */
export type Fault = Data.TaggedEnum<{
  /**
   * A black hole: what either side sends is swallowed and sockets stay open. A client that gives up is not reported to
   * the target either. Strikes at once on exchanges in progress, on others when the request is swallowed.
   *
   * What was swallowed is never delivered. `onHeal` says what happens to its connections then: `"destroy"` (default)
   * closes them on both sides, as the next segment does when a NAT has forgotten the connection; `"keep"` leaves
   * them open and dead until the client closes.
   */
  SilentDrop: Selected & { readonly onHeal?: "destroy" | "keep" }
  /** FIN to the client with no further byte, while its own direction stays open; the target's side is closed. */
  HalfClose: Selected
  /** RST to the client; the target's side is closed. */
  Reset: Selected
  /**
   * Ends the connection in the middle of a chunk of the answer's body: at once where the head of an answer has been
   * forwarded, else as soon as `after` bytes of body have been (default 0: right behind the head). An answer with
   * `content-length` is cut within that length.
   */
  CutMidChunk: Selected & { readonly after?: number }
  /** Each direction is late by `each`; order is kept. Strikes when the first bytes of an exchange are held. */
  Delay: Selected & { readonly each: Duration.Input }
  /** Each direction flows at no more than this rate. Strikes when the first bytes of an exchange are held. */
  Throttle: Selected & { readonly bytesPerSecond: number }
  /** Nobody listens: connects are refused, existing connections reset. Healing listens on the same port again. */
  Refuse: {}
  /** Answers instead of the target, which never sees the request. Affects only requests still to come. */
  Answer: Selected & {
    readonly status: number
    readonly headers?: Readonly<Record<string, string>>
    readonly body?: string
  }
  /**
   * Like nginx's `proxy_read_timeout`: an exchange on which the target sends nothing for `after` is ended, with the
   * connection if its answer has begun, else with a 504. Strikes when it does.
   */
  IdleCut: Selected & { readonly after: Duration.Input }
}>

const faults = Data.taggedEnum<Fault>()
type Options<Tag extends Fault["_tag"]> = Omit<Extract<Fault, { readonly _tag: Tag }>, "_tag">

/** Constructors: `Fault.Reset({ on: { rpc: "tools/call" }, times: 1 })`. */
export const { Delay, Throttle, Refuse, Answer, IdleCut, $is, $match } = faults
export const SilentDrop = (options: Options<"SilentDrop"> = {}): Fault => faults.SilentDrop(options)
export const HalfClose = (options: Options<"HalfClose"> = {}): Fault => faults.HalfClose(options)
export const Reset = (options: Options<"Reset"> = {}): Fault => faults.Reset(options)
export const CutMidChunk = (options: Options<"CutMidChunk"> = {}): Fault => faults.CutMidChunk(options)

/** What a selector can see of a request. */
export interface Facts {
  readonly method: string
  readonly sessionId?: string
  readonly lastEventId?: string
  readonly rpcMethods: ReadonlyArray<string>
}

const among = <A>(wanted: A | ReadonlyArray<A>, found: ReadonlyArray<A>) =>
  found.some((one) => (Array.isArray(wanted) ? wanted.includes(one) : wanted === one))

/** Whether the selector selects a request with these facts. */
export const selects = (selector: Selector | undefined, facts: Facts): boolean =>
  selector === undefined ||
  ((selector.method === undefined || among<string>(selector.method, [facts.method])) &&
    (selector.session === undefined || selector.session === (facts.sessionId !== undefined)) &&
    (selector.resuming === undefined || selector.resuming === (facts.lastEventId !== undefined)) &&
    (selector.rpc === undefined || among<string>(selector.rpc, facts.rpcMethods)))
