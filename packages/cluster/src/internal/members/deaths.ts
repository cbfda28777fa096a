/**
 * Ends the leases of a process that is dead before they run out, for `declareDead: "refused"`.
 *
 * A refused connection alone is no evidence: a firewall may reject it, and another process may have begun at the same address since. So every process
 * writes that it lives far more often than its leases need it, and only one whose word is overdue is connected to. The storage then ends its leases only
 * where that word is still overdue, in one statement: whoever has begun meanwhile has written one.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { SqlClient } from "effect/sql"
import * as Net from "node:net"
import * as Address from "../address.ts"

/** Between two words, and between two looks at those of others. */
const every = "200 millis"
/** After how many milliseconds a word is overdue: two of them were left out. */
const overdue = 500
/** How many connections in a row are refused by the dead, and the time between them. */
const refusals = 3
const pause = "50 millis"
/** How long a connection, or the storage, is waited for. */
const patience = Duration.seconds(1)
/** How many are connected to at a time. */
const atATime = 16

export interface Options {
  /** of this process */
  readonly address: Address.Address
  /** what the names of the engine's tables begin with */
  readonly prefix: string
  /** after which leases have ended anyway */
  readonly lease: Duration.Duration
}

/** Whether nobody listens there, as the machine says; one that says nothing may be frozen, or cut off. */
const refuses = (at: Address.Address): Effect.Effect<boolean> =>
  Effect.acquireUseRelease(
    // an error that nobody hears would end this process
    Effect.sync(() => Net.connect(at).on("error", () => {})),
    (socket) =>
      Effect.callback<boolean>((resume) => {
        socket.once("connect", () => resume(Effect.succeed(false)))
        socket.once("error", (error) => resume(Effect.succeed("code" in error && error.code === "ECONNREFUSED")))
      }).pipe(Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed(false) })),
    (socket) => Effect.sync(() => socket.destroy())
  )

/** As the engine writes them: without brackets. */
const nameOf = ({ host, port }: Address.Address) => `${host}:${port}`
const addressOf = (name: string): Address.Address => {
  const colon = name.lastIndexOf(":")
  return { host: name.slice(0, colon), port: Number(name.slice(colon + 1)) }
}

/** What is said in the storage, in the engine's own tables. */
export const words = ({ address, lease, prefix }: Options) =>
  Effect.map(SqlClient.SqlClient, (client) => {
    const sql = client.withoutTransforms()
    const runners = sql(`${prefix}_runners`)
    const locks = sql(`${prefix}_locks`)
    const before = (ms: number) => sql`NOW() - INTERVAL '${sql.literal(String(ms))} milliseconds'`
    const isOverdue = sql`last_heartbeat < ${before(overdue)}`
    const hasLeases = sql`last_heartbeat > ${before(Duration.toMillis(lease))}`
    const here = nameOf(address)
    return {
      /** that this process lives, where it is registered */
      say: sql`UPDATE ${runners} SET last_heartbeat = NOW() WHERE address = ${here}`,
      /** the others whose word is overdue and whose leases have not run out */
      silent: Effect.map(
        sql<{ address: string }>`
          SELECT address FROM ${runners} WHERE address <> ${here} AND ${isOverdue} AND ${hasLeases}
        `,
        (rows) => rows.map((row) => row.address)
      ),
      /** Ends the leases of one whose word is overdue; how many it had. */
      end: (name: string) =>
        Effect.map(
          sql`
            WITH
              dead AS (DELETE FROM ${runners} WHERE address = ${name} AND ${isOverdue} RETURNING address),
              -- in the order in which the engine locks them
              locked AS (
                SELECT shard_id FROM ${locks} WHERE address IN (SELECT address FROM dead)
                ORDER BY shard_id COLLATE "C" FOR UPDATE
              )
            DELETE FROM ${locks} WHERE address = ${name} AND shard_id IN (SELECT shard_id FROM locked) RETURNING shard_id
          `,
          (rows) => rows.length
        )
    }
  })

export const layer = (options: Options): Layer.Layer<never, never, SqlClient.SqlClient> =>
  Layer.effectDiscard(
    Effect.gen(function* () {
      const { end, say, silent } = yield* words(options)
      const judge = (name: string) =>
        Effect.gen(function* () {
          const at = addressOf(name)
          for (let refused = 0; refused < refusals; refused++) {
            if (refused > 0) yield* Effect.sleep(pause)
            if (!(yield* refuses(at))) return
          }
          const shards = yield* Effect.timeout(end(name), patience)
          if (shards > 0) yield* Effect.logWarning(`The process at ${name} is dead: its backends are taken over`)
        })
      const look = Effect.flatMap(Effect.timeout(silent, patience), (names) =>
        Effect.forEach(names, (name) => Effect.ignore(judge(name)), { concurrency: atATime, discard: true })
      )
      // A storage that does not answer is another's affair; words are not held up by looks.
      for (const doing of [Effect.timeout(say, patience), look]) {
        const untraced = Effect.withTracerEnabled(Effect.ignore(doing), false)
        yield* Effect.forkScoped(Effect.forever(Effect.andThen(untraced, Effect.sleep(every))))
      }
    })
  )
