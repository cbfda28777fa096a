/** Connections to a gateway for what is no Effect. */
import type { KeptPeer } from "@vmcp-keepalive/host"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import type { ConnectionOptions, Shape } from "../../Gateway.ts"

/** One that is open until it is closed. */
export interface Opened {
  readonly take: KeptPeer.KeptPeer["take"]
  readonly close: () => Promise<void>
}

/** Opens one. */
export type Open = (deliver: KeptPeer.Deliver, options?: ConnectionOptions) => Promise<Opened>

/** What opens them. */
export const of = (gateway: Pick<Shape, "open">): Effect.Effect<Open> =>
  Effect.map(Effect.context<never>(), (context) => {
    const run = Effect.runPromiseWith(context)
    return async (deliver, options) => {
      const scope = Scope.makeUnsafe()
      const { take } = await run(Scope.provide(gateway.open(deliver, options), scope))
      return { take, close: () => run(Scope.close(scope, Exit.void)) }
    }
  })
