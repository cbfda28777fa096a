/**
 * The transports of a fleet: one for each kind of settings, each under a key of its own, so that none hides another.
 */
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { ConfigurationIssue } from "../BackendError.ts"
import type { Connector, Origin } from "../Connector.ts"

/** What a backend's settings are, as far as the core knows. */
export interface Settings {
  readonly kind: string
}

/** Makes a connector that needs nothing; `undefined` where the settings are not of its shape. */
export type Transport<Client> = (settings: Settings) => Connector<Client> | undefined

const keyPrefix = "@vmcp-keepalive/core/Transport/"

export const keyOf = (kind: string): string => `${keyPrefix}${kind}`

/** Those of a context, by the kind of their settings. */
export const of = <Client>(context: Context.Context<never>): ReadonlyMap<string, Transport<Client>> => {
  const found = new Map<string, Transport<Client>>()
  for (const [key, value] of context.mapUnsafe) {
    if (key.startsWith(keyPrefix)) found.set(key.slice(keyPrefix.length), value)
  }
  return found
}

/**
 * Provides connectors with what they need; their sessions and their spans are those of the attempts that open them, not of where that
 * comes from.
 */
export const providing = <R>(context: Context.Context<R>) => {
  const needed = Context.makeUnsafe<R>(new Map([...context.mapUnsafe].filter(([key]) => !ofAttempts.has(key))))
  return <Client>(connector: Connector<Client, R>): Connector<Client> =>
    connector instanceof Provided ? connector : new Provided(connector, needed)
}

/** Two references, since a fleet has one for each of its backends. */
class Provided<Client, R> implements Connector<Client> {
  readonly #connector: Connector<Client, R>
  readonly #needed: Context.Context<R>

  constructor(connector: Connector<Client, R>, needed: Context.Context<R>) {
    this.#connector = connector
    this.#needed = needed
  }

  get kind(): string {
    return this.#connector.kind
  }

  get exclusive(): boolean {
    return this.#connector.exclusive
  }

  get connectTimeout(): Duration.Input {
    return this.#connector.connectTimeout
  }

  get supportsOptions(): boolean {
    return this.#connector.supportsOptions
  }

  get origin(): Origin | undefined {
    return this.#connector.origin
  }

  get issues(): Effect.Effect<ReadonlyArray<ConfigurationIssue>> {
    return Effect.provideContext(this.#connector.issues, this.#needed)
  }

  get open(): Connector<Client>["open"] {
    return (host) => Effect.provideContext(this.#connector.open(host), this.#needed)
  }
}

const ofAttempts: ReadonlySet<string> = new Set([Scope.Scope.key, Tracer.ParentSpan.key])
