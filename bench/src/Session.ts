/** A session without a backend: what reads it here notices nothing. */
import type { Connector } from "@vmcp-keepalive/core"
import { Effect, Scope } from "effect"

/** Opens one; it ends with the scope. */
export const open = <Client, R>(connector: Connector.Connector<Client, R>) => connector.open(nobody)

/** Opens one in a scope of its own, as every session has one, and holds it until the scope around it ends. */
export const hold = <Client, R>(connector: Connector.Connector<Client, R>) =>
  Effect.gen(function* () {
    const scope = yield* Scope.fork(yield* Scope.Scope)
    const session = yield* Scope.provide(open(connector), scope)
    held.add(session)
    yield* Effect.addFinalizer(() => Effect.sync(() => held.delete(session)))
  })

/** what nothing else holds */
const held = new Set<unknown>()

const nobody: Connector.SessionHost = {
  alive: () => performance.now(),
  observe: () => {},
  lost: () => {},
  output: () => {},
  notice: () => {},
  listChanged: () => {},
  subscriptions: new Set()
}
