/**
 * A gateway in random trouble over both transports, with callers on every backend: whatever happens, and whatever meets
 * whatever, each call gets a true answer, and when the trouble is over everything is back and nothing is left.
 *
 * `SOAK_SECONDS` and `SOAK_SEED` make it longer, and other.
 */
import { NodeServices } from "@effect/platform-node"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, KeepaliveEvent } from "@vmcp-keepalive/core"
import type { Connector, KeepalivePolicy } from "@vmcp-keepalive/core"
import { FaultProxy, Leftovers, ProcessGroups, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import type { McpServer } from "@vmcp-keepalive/testkit"
import { HttpConnector } from "@vmcp-keepalive/transport-http"
import { StdioConnector } from "@vmcp-keepalive/transport-stdio"
import { Array as Arr, Effect, Fiber, Random, Schedule } from "effect"
import { expect, test } from "vitest"
import { countMessages, type Entry, untruths } from "./ledger.ts"
import * as Trouble from "./trouble.ts"

const seconds = Number(process.env["SOAK_SECONDS"] ?? 10)
const seed = process.env["SOAK_SEED"] ?? "2026"

const policy: KeepalivePolicy.Options = {
  interval: "1 second",
  timeout: "500 millis",
  confirmInterval: "250 millis",
  failureThreshold: 2,
  connectTimeout: "10 seconds",
  stableAfter: "1 second",
  backoff: { initial: "100 millis", factor: 2, cap: "1 second" },
  circuit: { failures: 4, openFor: { initial: "500 millis", factor: 2, cap: "2 seconds" } },
  waitForSession: "2 seconds",
  inFlightGrace: "2 seconds",
  drainTimeout: "1 second"
}

/** No call takes longer, in milliseconds: waiting for a session, a run, detection, a replay and its waiting, and a slow machine. */
const longest = 20_000

interface Soaked {
  readonly id: string
  readonly backend: Backend.Backend<Client>
  readonly server: Pick<McpServer.McpServer, "echo" | "executions">
  readonly troubles: ReadonlyArray<Trouble.Trouble>
}

const behaviours = {
  sse: {},
  json: { answers: "json" },
  resumable: { eventStore: true },
  "resumable, polled": { eventStore: true, retry: 100 },
  stateless: { stateful: false },
  "one session": { singleSession: true },
  "400 for a stale session": { staleSession: 400, getStream: false }
} as const

const soaked = Effect.gen(function* () {
  const make = <R>(id: string, connector: Connector.Connector<Client, R>) => Backend.make({ id, connector, policy })
  const overHttp = Effect.forEach(
    Object.entries(behaviours),
    Effect.fnUntraced(function* ([id, behaviour]) {
      const server = yield* ScriptedServer.make(behaviour)
      const proxy = yield* FaultProxy.make({ target: server })
      const backend = yield* make(id, HttpConnector.make({ url: `${proxy.url}/mcp` }))
      const troubles = [
        ...Trouble.http(server, proxy, id === "one session" ? "sessions" : "everything"),
        ...Trouble.operator(backend)
      ]
      return { id, backend, server, troubles } satisfies Soaked
    }),
    { concurrency: "unbounded" }
  )
  const shutdown = { end: "300 millis", term: "300 millis", kill: "1 second" } as const
  const overStdio = Effect.forEach(
    [
      ["stdio", {}, (server: StdioServers.ScriptedStdioServer) => server],
      ["behind a shell", { ignoreTerm: true }, StdioServers.throughShell<StdioServers.ScriptedStdioServer>],
      [
        "with a grandchild",
        { grandchild: "group", garbage: "between" },
        (server: StdioServers.ScriptedStdioServer) => server
      ]
    ] as const,
    Effect.fnUntraced(function* ([id, script, as]) {
      const server = as(yield* StdioServers.scripted(script))
      const backend = yield* make(id, StdioConnector.make({ command: server.command, args: server.args, shutdown }))
      return {
        id,
        backend,
        server,
        troubles: [...Trouble.stdio(server, backend), ...Trouble.operator(backend)]
      } satisfies Soaked
    })
  )
  return [...(yield* overHttp), ...(yield* overStdio)]
})

const sleepBetween = (least: number, most: number) =>
  Effect.flatMap(Random.nextIntBetween(least, most), (millis) => Effect.sleep(millis))

/** One trouble after the other, for ever. */
const trouble = ({ id, troubles }: Soaked, note: (what: string) => void): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { during, name } = yield* Effect.orDie(Random.choice(troubles))
    const millis = yield* Random.nextIntBetween(50, 1500)
    note(`${id}: ${name}, ${millis} ms`)
    yield* during(Effect.sleep(millis))
    yield* sleepBetween(100, 2500)
  }).pipe(Effect.forever, Random.withSeed(`${seed} ${id}`))

const text = (result: unknown) => JSON.stringify(result)

const kinds = ["echo", "echo", "slow", "two at once", "given up", "pinned"] as const

/** One call after the other, until the soak is over. */
const caller = (
  { backend, id, server }: Soaked,
  name: string,
  entries: Array<Entry>,
  isOver: () => boolean
): Effect.Effect<void> => {
  let calls = 0
  const one = Effect.gen(function* () {
    const kind = yield* Random.choice(kinds)
    const idempotent = kind !== "pinned" && (yield* Random.next) < 0.3
    const ms = yield* Random.nextIntBetween(50, 600)
    const patience = yield* Random.nextIntBetween(1, 300)
    const number = calls++

    /** Sends these messages, and gives whether each got its own answer. */
    const sending = (messages: ReadonlyArray<string>) => (client: Client, signal: AbortSignal) =>
      Promise.all(
        messages.map(async (message) => {
          const isSlow = kind === "slow" || kind === "given up"
          const call = isSlow ? { name: "slow", arguments: { ms, message } } : server.echo(message)
          return text(await client.callTool(call, undefined, { signal })).includes(isSlow ? "done" : message)
        })
      )
    const entered = <E extends { readonly _tag: string }>(
      messages: ReadonlyArray<string>,
      sent: Effect.Effect<ReadonlyArray<boolean>, E>
    ) =>
      Effect.gen(function* () {
        const began = performance.now()
        const outcome = yield* Effect.match(sent, {
          onFailure: ({ _tag }) => _tag,
          onSuccess: (right) => (right.every(Boolean) ? "Ok" : "WrongAnswer")
        }).pipe(
          kind === "given up"
            ? Effect.timeoutOrElse({ duration: patience, orElse: () => Effect.succeed("GivenUp") })
            : (self) => self
        )
        entries.push({ backend: id, kind, messages, idempotent, outcome, took: performance.now() - began })
      })

    const [first, second] = [`${name}-${number}a`, `${name}-${number}b`]
    if (kind === "pinned") {
      const both = backend.pinned((session) =>
        Effect.forEach([first, second], (message) => entered([message], session.use(sending([message]))))
      )
      yield* Effect.catch(both, (error) => entered([first], Effect.fail(error)))
    } else {
      const messages = kind === "two at once" ? [first, second] : [first]
      yield* entered(messages, backend.use(sending(messages), { idempotent }))
    }
    // what is rejected at once is asked again, but not all the time
    yield* sleepBetween(5, 60)
  })
  return Effect.repeat(one, { until: isOver }).pipe(Random.withSeed(`${seed} ${id} ${name}`))
}

/** Waits until it holds, half a minute at most. */
const eventually = (what: string, holds: Effect.Effect<boolean>): Effect.Effect<void> =>
  holds.pipe(
    Effect.repeat({ until: (is) => is, schedule: Schedule.spaced("20 millis") }),
    Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.die(new Error(`never: ${what}`)) }),
    Effect.asVoid
  )

/** The states of a backend are one chain, and every session but the last was closed once. */
const openSessions = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>): number => {
  const opened = events.filter(({ _tag }) => _tag === "AttemptSucceeded").length
  return opened - events.filter(({ _tag }) => _tag === "SessionClosed").length
}
const breaks = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>): ReadonlyArray<string> => {
  const changes = events.flatMap((event) => (event._tag === "StateChanged" ? [event] : []))
  return changes.flatMap(({ from }, index) => {
    const before = changes[index - 1]?.to
    return before === undefined || text(before) === text(from) ? [] : [`${text(before)} is followed by ${text(from)}`]
  })
}

const soak = Effect.gen(function* () {
  const entries: Array<Entry> = []
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const notes: Array<string> = []
  const all = yield* Effect.provide(
    soaked,
    KeepaliveEvent.layerObserver((event) => events.push(event))
  )
  yield* Effect.forEach(all, ({ backend }) => backend.awaitConnected, { concurrency: "unbounded" })
  let isOver = false
  const callers = yield* Effect.forEach(all, (one) =>
    Effect.forEach(["x", "y", "z"], (name) => Effect.forkChild(caller(one, name, entries, () => isOver)))
  )
  const troubles = yield* Effect.forEach(all, (one) => Effect.forkChild(trouble(one, (what) => notes.push(what))))
  yield* Effect.sleep(seconds * 1000)
  yield* Fiber.interruptAll(troubles)
  const over = performance.now()
  for (const { backend, id, server } of all) {
    const answered = Effect.match(
      backend.use((client) => client.callTool(server.echo("back"))),
      {
        onFailure: () => false,
        onSuccess: () => true
      }
    )
    const last = notes.filter((note) => note.startsWith(`${id}:`)).slice(-4)
    yield* eventually(`${id} is back (${last.join("; ")})`, answered)
  }
  const back = performance.now() - over
  isOver = true
  for (const [index, { id }] of all.entries())
    yield* eventually(
      `every call to ${id} settles`,
      Effect.sync(() => (callers[index] ?? []).every((fiber) => fiber.pollUnsafe() !== undefined))
    )
  const found: Array<string> = []
  for (const { id, server } of all) {
    const own = () => events.filter(({ backend }) => backend === id)
    yield* eventually(
      `${id} has one session`,
      Effect.sync(() => openSessions(own()) === 1)
    )
    const executed = countMessages(yield* server.executions)
    for (const entry of entries) if (entry.backend === id) found.push(...untruths(entry, executed, longest))
    found.push(...breaks(own()).map((what) => `${id}: ${what}`))
  }
  const outcomes = Object.entries(Arr.groupBy(entries, ({ outcome }) => outcome))
  console.log(
    `measured: ${notes.length} troubles, ${entries.length} calls: ${outcomes.map(([name, of]) => `${of.length} ${name}`).join(", ")}`
  )
  console.log(`measured: the latest settled after ${Math.round(Math.max(...entries.map(({ took }) => took)))} ms`)
  console.log(`measured: everything was back after ${Math.round(back)} ms`)
  return { found, entries }
})

test(
  "in random trouble every call gets a true answer, and after it everything is back and nothing is left",
  () =>
    Effect.runPromise(
      Effect.gen(function* () {
        const leftovers = yield* Leftovers.make()
        const fds = ProcessGroups.openFds()
        const { entries, found } = yield* Effect.scoped(soak)
        yield* leftovers.check
        yield* eventually(
          "as many descriptors as before",
          Effect.sync(() => ProcessGroups.openFds() <= fds)
        )
        expect(found).toEqual([])
        // something happened: calls went well, and calls were lost
        expect(entries.map(({ outcome }) => outcome)).toEqual(expect.arrayContaining(["Ok", "OutcomeUnknown"]))
      }).pipe(Effect.provide(NodeServices.layer))
    ),
  (seconds + 90) * 1000
)
