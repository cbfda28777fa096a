/** Fleets of servers without a network, as many as one wants. */
import { Fleet, KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Backend } from "@vmcp-keepalive/core"
import { ScriptedServer } from "@vmcp-keepalive/core/testing"
import { Effect, Layer } from "effect"
import type { Scope } from "effect"

export type Client = ScriptedServer.ScriptedClient

export interface Scripted {
  readonly fleet: Fleet.Fleet<Client>
  readonly server: ScriptedServer.ScriptedServer
  readonly add: (id: string) => Effect.Effect<Backend.Backend<Client>>
  readonly get: (id: string) => Effect.Effect<Backend.Backend<Client>>
}

/** Their backends connect for the first call, so that none does anything by itself. */
export const make = (ids: ReadonlyArray<string>): Effect.Effect<Scripted, never, Scope.Scope> =>
  Effect.gen(function* () {
    const server = ScriptedServer.make()
    const fleet = yield* Fleet.make<Client>().pipe(
      Effect.provide(
        Layer.merge(
          KeepalivePolicy.layer({ connect: "lazy" }),
          // `apply` is not used, but the fleet is one that could.
          Fleet.layerTransport("scripted", {
            is: (settings): settings is { kind: "scripted" } => settings.kind === "scripted",
            make: () => server.connector
          })
        )
      )
    )
    const add = (id: string) => Effect.orDie(fleet.add({ id, connector: server.connector }))
    yield* Effect.forEach(ids, add, { discard: true })
    return { fleet, server, add, get: (id: string) => Effect.orDie(Effect.flatMap(fleet.get(id), Effect.fromOption)) }
  })

export const numbered = (count: number): ReadonlyArray<string> =>
  Array.from({ length: count }, (_, index) => `backend-${String(index).padStart(4, "0")}`)
