/**
 * The engine: `effect/cluster` over sockets. The storage has who takes part and whose each shard is; what is asked of backends is never stored.
 */
import type { BackendError } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import {
  MessageStorage,
  RunnerAddress,
  RunnerHealth,
  Runners,
  RunnerStorage,
  Sharding,
  ShardingConfig,
  Snowflake,
  SqlRunnerStorage
} from "effect/cluster"
import type { SocketServer } from "effect/socket"
import type { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import type { Settings } from "../../ClusterOptions.ts"
import * as Leases from "../lease/Leases.ts"
import * as Agreement from "../members/agreement.ts"
import * as Deaths from "../members/deaths.ts"
import * as Members from "../members/Members.ts"
import type * as Owner from "../owner/owner.ts"
import * as AtMostOnce from "../once/AtMostOnce.ts"
import * as Connections from "./connections.ts"
import { boundedEnd } from "./ending.ts"
import * as Requests from "./requests.ts"
import * as Serving from "./serving.ts"
import { configOf, refreshEvery } from "./sharding.ts"
import * as Tables from "./tables.ts"

/** What the names of the tables begin with. */
export const prefix = "vmcp_keepalive"

/**
 * How long a process that leaves still answers that it keeps nothing: the others see that it has left only at their next look, and would find nobody
 * where they ask until then.
 */
const lameDuck = "300 millis"

/** How long the last answers may take to those who asked, once everything has ended. */
const farewell = "500 millis"

export const layer = (
  settings: Settings
): Layer.Layer<
  Sharding.Sharding | Leases.Leases,
  BackendError.ConfigurationError | SqlError | SocketServer.SocketServerError,
  SqlClient.SqlClient | Members.Members | Owner.Places
> => {
  const clients = Connections.clients(settings)
  const storage = Leases.layer({ lease: settings.lease, refresh: refreshEvery(settings) }).pipe(
    Layer.provide(Members.layer(settings)),
    Layer.provide(Agreement.layer(settings, prefix)),
    Layer.provide(SqlRunnerStorage.layerWith({ prefix })),
    Layer.provide(Tables.layer(prefix))
  )
  const deaths = settings.declareDead === "refused" ? Deaths.layer({ ...settings, prefix }) : Layer.empty
  // on connections of its own, which no call is lost with
  const pinged = Layer.effect(Runners.Runners, Requests.make(settings.drain)).pipe(
    Layer.provide(Snowflake.layerGenerator)
  )
  const health = RunnerHealth.layerPing.pipe(Layer.provide(pinged), Layer.provide(clients))
  // Everything is ended by then: the others need not wait for the rest.
  const leaving = Layer.effectDiscard(
    Effect.gen(function* () {
      const { releaseAll } = yield* RunnerStorage.RunnerStorage
      const address = RunnerAddress.RunnerAddress.make(settings.address)
      // The engine replaces its connection while others use it, which fails then.
      const released = Effect.ignore(Effect.retry(releaseAll(address), Schedule.spaced("30 millis")))
      yield* Effect.addFinalizer(() =>
        Effect.all([Effect.timeoutOption(released, lameDuck), Effect.sleep(lameDuck)], { concurrency: "unbounded" })
      )
    })
  )
  return leaving.pipe(
    // What is told to a process that is frozen would be waited for until that goes on.
    Layer.provideMerge(boundedEnd(Serving.layer, farewell)),
    Layer.provideMerge(Sharding.layer),
    Layer.provide(AtMostOnce.layer(settings.drain)),
    Layer.provide([Connections.server(settings), clients, health]),
    Layer.provideMerge(deaths),
    Layer.provideMerge(storage),
    Layer.provide(MessageStorage.layerNoop),
    Layer.provide(ShardingConfig.layer(configOf(settings)))
  )
}
