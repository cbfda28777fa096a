/** How long backends and calls are without a process where one goes, or the storage: once each, by real processes and a real database where there is one. */
import { Effect } from "effect"
import { execFile } from "node:child_process"
import { globSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import type { Limit, Result, Row } from "../Row.ts"

/** The cluster's own measuring, which its tests hold to wider bounds. */
const program = fileURLToPath(new URL("../../../packages/cluster/test/programs/failover.ts", import.meta.url))

type Told = { readonly name: string } & { readonly [figure: string]: number | string | ReadonlyArray<string> }

interface Promised {
  readonly of: string
  readonly figure: string
  readonly title: string
  readonly most: number
  readonly unit?: "ms"
  readonly because: string
}

const lost = "nothing that was not under way there is lost"
const promises: ReadonlyArray<Promised> = [
  {
    of: "killed",
    figure: "toldWithin",
    title: "SIGKILL: calls in flight have an unknown outcome",
    most: 200,
    unit: "ms",
    because: "the socket between the processes ends with the process"
  },
  {
    of: "killed",
    figure: "servedAgain",
    title: "SIGKILL, lease 4 s: served again",
    most: 5000,
    unit: "ms",
    because: "the lease, and a second"
  },
  {
    of: "ended",
    figure: "takenOver",
    title: "SIGTERM, lease 4 s: taken over",
    most: 1000,
    unit: "ms",
    because: "it is handed over"
  },
  { of: "ended", figure: "failed", title: "SIGTERM, lease 4 s: failed calls", most: 0, because: lost },
  {
    of: "ended, lease 15 s",
    figure: "takenOver",
    title: "SIGTERM, lease 15 s: taken over",
    most: 1000,
    unit: "ms",
    because: "it is handed over"
  },
  { of: "ended, lease 15 s", figure: "failed", title: "SIGTERM, lease 15 s: failed calls", most: 0, because: lost },
  {
    of: "frozen for 10 s",
    figure: "takenOver",
    title: "SIGSTOP, lease 4 s: taken over",
    most: 5000,
    unit: "ms",
    because: "the lease, and a second"
  },
  {
    of: "frozen for 10 s",
    figure: "toldWithin",
    title: "SIGSTOP, lease 4 s: calls in flight have an unknown outcome",
    most: 7000,
    unit: "ms",
    because: "the lease, the drain of 2 s, and a second"
  },
  {
    of: "frozen for 10 s",
    figure: "actedAtOnce",
    title: "SIGSTOP: sessions of two owners that acted at once",
    most: 0,
    because: "nothing leaves a process whose lease is not certain"
  },
  {
    of: "storage away for 8 s, lease 15 s",
    figure: "failed",
    title: "storage away for 8 s, lease 15 s: failed calls",
    most: 0,
    because: "the lease lasts"
  },
  {
    of: "storage away for 8 s, lease 15 s",
    figure: "closed",
    title: "storage away for 8 s, lease 15 s: closed sessions",
    most: 0,
    because: "the lease lasts"
  },
  {
    of: "caller killed",
    figure: "cancelledWithin",
    title: "SIGKILL of the caller: cancelled at the server",
    most: 500,
    unit: "ms",
    because: "the socket between the processes ends with the process"
  },
  {
    of: "caller killed",
    figure: "ended",
    title: "SIGKILL of the caller: closed sessions",
    most: 0,
    because: "the owner lives"
  }
]

const figureOf = (all: ReadonlyArray<Told>, { figure, of }: Promised): number => {
  const found = all.find(({ name }) => name === of)?.[figure]
  return Array.isArray(found) ? found.length : Number(found)
}

export const clusterFailover: Row = {
  name: "cluster-failover",
  title: "From a signal to a process of a cluster of two to what comes of it, of 12 backends",
  unit: "ms",
  run: Effect.gen(function* () {
    const storage = globSync("/usr/lib/postgresql/*/bin/postgres").length > 0 ? "postgres" : "pglite"
    const { stdout } = yield* Effect.promise(() => promisify(execFile)(process.execPath, [program, storage]))
    const all = stdout
      .split("\n")
      .filter((line) => line.startsWith("{"))
      .map((line): Told => JSON.parse(line))
    const timed = promises.filter(({ unit }) => unit !== undefined)
    return {
      contestants: timed.map((one): Result => ({ name: one.title, rounds: [figureOf(all, one)] })),
      limits: promises.map((one): Limit => {
        const { because, most, title, unit } = one
        return { what: title, found: figureOf(all, one), most, because, ...(unit === undefined ? {} : { unit }) }
      }),
      remarks: [`on ${storage}`, ...all.map((told) => JSON.stringify(told))]
    }
  })
}
