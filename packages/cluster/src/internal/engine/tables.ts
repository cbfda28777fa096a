/**
 * The engine's tables, as it makes them itself, but for their times: it writes those without a time zone, as a clock on the wall shows them. Where that is put
 * forward in the time zone of the database every lease runs out at once, while its process counts on it; where it is put back those of the dead last longer.
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
import type { SqlError } from "effect/sql/SqlError"
import { ensure } from "../table.ts"

const runners = `
  machine_id SERIAL PRIMARY KEY,
  address VARCHAR(255) NOT NULL UNIQUE,
  runner TEXT NOT NULL,
  healthy BOOLEAN NOT NULL DEFAULT TRUE,
  last_heartbeat TIMESTAMPTZ NOT NULL DEFAULT NOW()`

const locks = `
  shard_id VARCHAR(50) PRIMARY KEY,
  address VARCHAR(255) NOT NULL,
  acquired_at TIMESTAMPTZ NOT NULL`

/** Makes them before the engine does, which leaves those alone that are there. `prefix`: what their names begin with. */
export const layer = (prefix: string): Layer.Layer<never, SqlError, SqlClient.SqlClient> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const sql = (yield* SqlClient.SqlClient).withoutTransforms()
      yield* ensure(sql, `${prefix}_runners`, runners)
      yield* ensure(sql, `${prefix}_locks`, locks)
    })
  )
