/**
 * The transports of a fleet: one for each kind of settings, each under a key of its own, so that none hides another.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Tracer from "effect/Tracer"
import type { Connector } from "../Connector.ts"

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

/** With what it needs; its sessions and their spans are those of the attempts that open them, not of where that comes from. */
export const provided = <Client, R>(
  connector: Connector<Client, R>,
  context: Context.Context<R>
): Connector<Client> => {
  const needed = Context.makeUnsafe<R>(new Map([...context.mapUnsafe].filter(([key]) => !ofAttempts.has(key))))
  return {
    ...connector,
    issues: Effect.provideContext(connector.issues, needed),
    open: (host) => Effect.provideContext(connector.open(host), needed)
  }
}

const ofAttempts: ReadonlySet<string> = new Set([Scope.Scope.key, Tracer.ParentSpan.key])
