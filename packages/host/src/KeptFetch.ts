/**
 * A kept connection for frameworks that take a URL and a `fetch`: an endpoint of MCP's Streamable HTTP (2025-11-25) in this process,
 * without a port.
 *
 * The framework's client gets a session that does not end because a server does. A client that opens another one, as frameworks do
 * when they reconnect, gets another connection to the server.
 */
import { Endpoint } from "./internal/fetch/endpoint.ts"
import type { Answer, Asked } from "./internal/fetch/exchange.ts"
import { type Keeper, make, type Observed, type Options as KeeperOptions } from "./internal/keeper.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * What {@link keptFetch} takes.
 *
 * @since 0.1.0
 */
export type Options<R = never> = KeeperOptions<R> & {
  /**
   * How many sessions there may be, 1 to 10,000. Frameworks that reconnect leave theirs without ending them: where there would be one
   * too many, the one that was not used for the longest time ends, first among those without an open stream. None ends with a
   * request under way; where all have one, the next `initialize` is answered with 503. Default: 8
   */
  readonly maxSessions?: number | undefined
}

/**
 * See the module. Its state and its events are those of all sessions; `state` is that of the newest.
 *
 * @since 0.1.0
 */
export interface KeptFetch extends Observed {
  /** the id of the backend */
  readonly id: string
  /** What to hand in as the URL. Nothing is ever sent there: the name resolves nowhere (RFC 6761). */
  readonly url: URL
  /**
   * Answers what a client of Streamable HTTP asks, whatever the URL. An abort, or a body that is cancelled, cancels that request and
   * leaves the session alone. Rejects when it is aborted, like every `fetch`, and where no connection can be made because a setting
   * is wrong or a layer cannot be built.
   */
  readonly fetch: (input: string | URL | Request, init?: RequestInit) => Promise<Response>
  /** The same without objects of the Web's, for what puts it on a port. */
  readonly answer: (asked: Asked) => Promise<Answer>
  /** Ends all sessions: what is under way is answered with an error. Resolves when everything that they held is freed. */
  readonly close: () => Promise<void>
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * An endpoint for a framework that takes a URL and a `fetch` (`{ url: kept.url, fetch: kept.fetch }`). Nothing is started before a
 * client initializes. Throws a `ConfigurationError` with everything that is wrong in the settings.
 *
 * @since 0.1.0
 */
export const keptFetch = <R = never>(options: Options<R>): KeptFetch => {
  const { maxSessions = 8 } = options
  const isCount = Number.isInteger(maxSessions) && maxSessions >= 1 && maxSessions <= 10_000
  return new Kept(make(options, { issues: isCount ? [] : [maxSessionsIssue] }), maxSessions)
}

// ----------------------------------------------------------------------------------------------------------- internal

const maxSessionsIssue = { path: ["maxSessions"], expected: "a whole number from 1 to 10,000" }

class Kept implements KeptFetch {
  readonly id: string
  readonly url: URL
  readonly fetch: KeptFetch["fetch"]
  readonly answer: KeptFetch["answer"]
  readonly on: Observed["on"]
  readonly #keeper: Keeper
  readonly #endpoint: Endpoint

  constructor(keeper: Keeper, maxSessions: number) {
    const { id } = keeper
    this.id = id
    this.url = new URL(`http://kept.invalid/${encodeURIComponent(id)}`)
    this.on = keeper.on
    this.#keeper = keeper
    this.#endpoint = new Endpoint({ id, maxSessions, open: keeper.open })
    this.fetch = this.#endpoint.fetch
    this.answer = this.#endpoint.answer
  }

  get state(): Observed["state"] {
    return this.#keeper.state
  }

  readonly close = async (): Promise<void> => {
    await this.#endpoint.close()
    await this.#keeper.close()
  }
}
