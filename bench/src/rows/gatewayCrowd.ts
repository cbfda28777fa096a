/**
 * Two hundred hosts of one gateway with twenty servers: what each weighs in its process, and whether a server that is a black hole is felt
 * by calls to the others.
 */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Fault, FaultProxy, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Schedule } from "effect"
import { setTimeout as sleep } from "node:timers/promises"
import * as BareClient from "../BareClient.ts"
import * as GatewayProgram from "../GatewayProgram.ts"
import * as Heap from "../Heap.ts"
import * as Held from "../Held.ts"
import * as Rounds from "../Rounds.ts"
import type { Contestant, Limit, Result, Row } from "../Row.ts"
import * as Spread from "../Spread.ts"

const hosts = 200
const backends = 20
/** processes that serve them */
const servers = 4
/** hosts that call at the same time, and what a tool takes, in milliseconds: it does something, and nobody waits for a core */
const [callers, takes] = [8, 20]
/** of each round, in milliseconds */
const lasts = 5000
/** within which the calls to the one that may be a black hole begin, in milliseconds */
const begins = 3000

/** Of the one that becomes a black hole: its trouble begins and is over within a round. All others have the defaults. */
const impatient = {
  interval: "5 seconds",
  timeout: "1 second",
  failureThreshold: 1,
  inFlightGrace: "1 second",
  connectTimeout: "1 second",
  waitForSession: "1 second",
  backoff: { initial: "100 millis", cap: "1 second" },
  circuit: { openFor: "1 second" },
  stableAfter: "1 second"
}

const hole = "hole"
const healthy = Array.from({ length: backends - 1 }, (_, index) => `server-${index}`)

/** What a round told; times in milliseconds. */
interface Told {
  readonly p99: number
  readonly median: number
  /** calls to healthy servers that failed */
  readonly failed: number
  /** of the calls to the one that may be a black hole: how many were answered by it, and how many were not answered at all */
  readonly answered: number
  readonly rejected: number
}

/** Opens that many, each with its standing stream. */
const connected = (url: string, count: number) =>
  Effect.forEach(Array.from({ length: count }), () => BareClient.http(url), { concurrency: 10 })

/** Whether the call succeeded. */
const call = async (client: Client, backend: string, tool: string, args: Record<string, unknown>): Promise<boolean> => {
  const name = `${backend}__${tool}`
  const { isError } = await client.callTool({ name, arguments: args })
  return isError !== true
}

/** A gateway and its hosts, and what each of these weighs in it. */
const crowd = Effect.fnUntraced(function* (
  urls: ReadonlyArray<string>,
  session: "per-client" | "shared",
  more: Readonly<Record<string, object>>
) {
  const own = healthy.map((name, index) => [name, { url: urls[index % urls.length], session }])
  const gateway = yield* GatewayProgram.serve(
    { mcpServers: { ...Object.fromEntries(own), ...more } },
    { isWeighed: true }
  )
  // the first time of everything is over
  const first = yield* connected(gateway.said.mcp, 10)
  yield* Effect.promise(() => gone(first))
  const before = yield* gateway.weight
  const began = performance.now()
  const clients = yield* connected(gateway.said.mcp, hosts)
  const opened = performance.now() - began
  const each = Held.each(before, yield* gateway.weight, hosts)
  /** what there is of each, once they have ended their sessions what is left of it */
  const left = Effect.map(gateway.weight, (after) => Held.each(before, after, hosts))
  return { clients, each, opened, left }
})

/** They end their sessions, as the specification asks of them. */
const gone = async (clients: ReadonlyArray<Client>): Promise<void> => {
  for (const { transport } of clients) {
    if (transport instanceof BareClient.HttpTransport) await transport.terminateSession()
  }
}

/** How many sessions the servers have once those of the hosts are ended, which begins after the host was answered; waits 10 s at most. */
const ended = (served: ReadonlyArray<ScriptedServer.ScriptedServer>) =>
  Effect.forEach(served, ({ stats }) => stats).pipe(
    Effect.map((all) => all.reduce((sum, { sessions }) => sum + sessions, 0)),
    Effect.repeat({
      schedule: Schedule.max([Schedule.spaced("100 millis"), Schedule.recurs(100)]),
      until: (sessions) => sessions <= backends
    })
  )

/** One after the other, to each server in its turn, while there is time; tells how long each took, and how many failed. */
const calls = async (client: Client, until: number, took: Array<number>): Promise<number> => {
  let failed = 0
  for (let turn = 0; performance.now() < until; turn++) {
    const began = performance.now()
    if (!(await call(client, healthy[turn % healthy.length] ?? "", "slow", { ms: takes }))) failed++
    took.push(performance.now() - began)
  }
  return failed
}

/**
 * Eight hosts call the healthy servers, one call after the other. Meanwhile every host has one call to the server that may be a black hole,
 * each at its own time: two hundred at once would be felt with a healthy one too.
 */
const round = async (clients: ReadonlyArray<Client>): Promise<Told> => {
  Heap.collectYoung()
  const others = clients.map(async (client, index) => {
    await sleep((index / clients.length) * begins)
    return call(client, hole, "echo", { message: "to the one that may be a black hole" })
  })
  const took: Array<number> = []
  const until = performance.now() + lasts
  const failed = await Promise.all(clients.slice(0, callers).map((client) => calls(client, until, took)))
  const ends = await Promise.allSettled(others)
  return {
    p99: Spread.percentile(took, 99),
    median: Spread.of(took).median,
    failed: failed.reduce((sum, each) => sum + each, 0),
    rejected: ends.filter((end) => end.status === "rejected").length,
    answered: ends.filter((end) => end.status === "fulfilled" && end.value).length
  }
}

/** The same calls without it and with it. Each host calls it again once it is healed. */
const contestants = (
  clients: ReadonlyArray<Client>,
  proxy: FaultProxy.FaultProxy
): readonly [Contestant<Told>, Contestant<Told>] => [
  { name: "without a black hole", round: () => round(clients) },
  {
    name: "while one of them is a black hole",
    round: async () => {
      await Effect.runPromise(proxy.inject(Fault.SilentDrop()))
      const told = await round(clients)
      await Effect.runPromise(proxy.heal)
      await Promise.all(clients.map(back))
      return told
    }
  }
]

/** Waits until the host has the healed server again. */
const back = async (client: Client): Promise<void> => {
  while (!(await call(client, hole, "echo", { message: "back" }))) await sleep(1000)
}

export const gatewayCrowd: Row = {
  name: "gateway-crowd",
  title: `A tool call of ${takes} ms to one of ${backends - 1} servers, the 99th of a hundred, in a gateway with ${hosts} hosts`,
  unit: "ms",
  run: Effect.gen(function* () {
    // of the process that has most of them
    Held.needDescriptors(2 * hosts * backends)
    const served = yield* Effect.all(Array.from({ length: servers }, () => ScriptedServer.make()))
    const urls = served.map(({ url }) => url)
    // its own: a session that is lost in a black hole cannot be ended at its server, which has it until it forgets it
    const beyond = yield* ScriptedServer.make()
    const proxy = yield* FaultProxy.make({ target: { port: beyond.port } })
    const holed = { [hole]: { url: `${proxy.url}/mcp`, keepalive: impatient } }
    const shared = yield* Effect.scoped(crowd(urls, "shared", { [hole]: { ...holed[hole], session: "shared" } }))
    const own = yield* crowd(urls, "per-client", holed)
    const results = yield* Effect.promise(() => Rounds.turns(contestants(own.clients, proxy), { rounds: 3, warmUp: 1 }))
    const weights = (quantity: keyof Held.Weight): ReadonlyArray<Result> => [
      { name: `with a session of its own at each of ${backends} servers`, rounds: [own.each[quantity]] },
      { name: "with servers whose sessions are shared", rounds: [shared.each[quantity]] }
    ]
    yield* Effect.promise(() => gone(own.clients))
    const sessions = yield* ended(served)
    const left = yield* own.left
    return {
      contestants: of(results, "p99"),
      also: [
        { title: "The median of the same calls", unit: "ms", contestants: of(results, "median") },
        { title: "Heap of each host in the gateway's process", unit: "B", contestants: weights("heap") },
        { title: "Resident memory of each", unit: "B", contestants: weights("rss") },
        { title: "Descriptors of each", unit: "descriptors", contestants: weights("descriptors") }
      ],
      limits: [...held(results), ...small(own.each), ...nothing(left, sessions)],
      remarks: [
        `${hosts} hosts had initialized within ${(own.opened / 1000).toFixed(1)} s, each with ${backends} sessions opened for it`
      ]
    }
  })
}

const of = (results: ReadonlyArray<Result<Told>>, quantity: keyof Told): ReadonlyArray<Result> =>
  results.map(({ name, rounds }) => ({ name, rounds: rounds.map((told) => told[quantity]) }))

const held = (results: ReadonlyArray<Result<Told>>): ReadonlyArray<Limit> => {
  const [without = [], beside = []] = of(results, "p99").map(({ rounds }) => rounds)
  const count = (told: (round: Told) => number, of: ReadonlyArray<Result<Told>> = results) =>
    of.reduce((sum, { rounds }) => sum + rounds.reduce((all, round) => all + told(round), 0), 0)
  const [healthy, holed] = [results.slice(0, 1), results.slice(1)]
  return [
    {
      what: "the 99th of a hundred while one is a black hole",
      found: Spread.ratio(beside, without).median,
      most: 1.2,
      unit: "×",
      because: "neither what waits for one server nor what tries to reach it again holds up a call to another"
    },
    {
      what: "calls to the others that failed",
      found: count(({ failed }) => failed),
      most: 0,
      because: "what is wrong with one server is nothing to the calls of another"
    },
    {
      what: "calls that were swallowed and did not end as such",
      found: count(({ answered, rejected }) => answered + rejected, holed),
      most: 0,
      because: "whoever waits for a server that does not answer is told so"
    },
    {
      what: "calls to it that it did not answer while it was healthy",
      found: count(({ answered }) => hosts - answered, healthy),
      most: 0,
      because: "both have the same calls"
    }
  ]
}

const small = ({ descriptors, heap }: Held.Weight): ReadonlyArray<Limit> => [
  {
    what: "heap of a host, for each of its sessions",
    found: heap / backends,
    most: 40 * 1024,
    unit: "B",
    because: "a session over HTTP with its backend has 28 KB"
  },
  {
    what: "descriptors of a host",
    found: descriptors,
    most: 2 + 2 * backends,
    unit: "descriptors",
    because: "its own stream and one for its calls, and as many of each session"
  }
]

const nothing = ({ descriptors, heap }: Held.Weight, sessions: number): ReadonlyArray<Limit> => [
  {
    what: "heap that is left of a host that has gone",
    found: heap,
    most: 8 * 1024,
    unit: "B",
    because: "the id of a session that its host has ended is remembered, and nothing else"
  },
  {
    what: "descriptors that are left of it",
    found: descriptors,
    most: 0.5,
    unit: "descriptors",
    because: "pools keep what one connection or other was used for lately"
  },
  {
    what: "sessions that the servers have then",
    found: sessions,
    most: backends,
    because: "those of the fleet"
  }
]
