/**
 * A host program: two backends, one on a good server and one on a hostile one. It calls the good one all the time and the
 * hostile one as it is told, watches itself, and prints what it saw. `node host.ts <JSON: Task>`.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { CreateMessageRequestSchema, ListRootsRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend, ConnectionState, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import { readdirSync, readFileSync } from "node:fs"
import { monitorEventLoopDelay } from "node:perf_hooks"
import { HttpConnector } from "../../src/index.ts"
import { type Calls, type Report, type Task, within } from "./scenario.ts"

const task: Task = JSON.parse(process.argv[2] ?? "{}")
const { plan } = task

const policy: KeepalivePolicy.Options = {
  // Asked often, and given time: a machine that is busy with others makes nobody look dead.
  interval: "30 seconds",
  cadence: Schedule.spaced("700 millis"),
  confirmInterval: "250 millis",
  failureThreshold: 2,
  // what has been given up stays so until it is looked at
  backoff: { initial: "1 minute", factor: 1, cap: "1 minute" },
  circuit: "none"
}

const answeringClient = () => {
  const client = new Client({ name: "host", version: "0.0.0" }, { capabilities: { sampling: {}, roots: {} } })
  client.setRequestHandler(CreateMessageRequestSchema, () => ({
    model: "none",
    role: "assistant",
    content: { type: "text", text: "hello" }
  }))
  client.setRequestHandler(ListRootsRequestSchema, () => ({ roots: [] }))
  return client
}

/** How often this process looks at itself, in milliseconds. */
const every = 10

/** CPU time of the main thread, in milliseconds. */
const worked = () => {
  const { system, user } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** The most memory, descriptors and delay of the event loop there have been since it was made. */
const watch = () => {
  const delay = monitorEventLoopDelay({ resolution: every })
  delay.enable()
  let descriptors = 0
  let blocked = 0
  let late = 0
  const first = worked()
  let last = { at: performance.now(), worked: first }
  const look = () => {
    const now = { at: performance.now(), worked: worked() }
    // What others do on this machine meanwhile is not ours.
    blocked = Math.max(blocked, Math.min(now.at - last.at, now.worked - last.worked))
    late = Math.max(late, now.at - last.at - every)
    last = now
    descriptors = Math.max(descriptors, readdirSync("/proc/self/fd").length)
  }
  const timer = setInterval(look, every)
  return () => {
    look()
    clearInterval(timer)
    delay.disable()
    const [, peak = "0"] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? []
    return {
      rss: Number(peak) * 1024,
      blocked,
      delayed: Math.max(late, delay.max / 1e6),
      worked: worked() - first,
      descriptors
    }
  }
}

const wordOf = (state: ConnectionState.ConnectionState): string => {
  switch (state._tag) {
    case "Connected":
      return state.generation === 1 ? "Connected" : `Connected, session ${state.generation}`
    case "Isolated":
      return "Isolated"
    default: {
      const reason = ConnectionState.reasonOf(state)
      return reason === undefined ? state._tag : `${state._tag} ${reason}`
    }
  }
}

/** An event that has a reason, as words. */
const wordsOf = (event: KeepaliveEvent.KeepaliveEvent): ReadonlyArray<string> =>
  "reason" in event ? [`${event._tag} ${event.reason}`] : []

const textOf = (result: Awaited<ReturnType<Client["callTool"]>>): string => {
  const [first] = Array.isArray(result.content) ? result.content : []
  return first?.type === "text" ? first.text : ""
}

/** One call, in a word: how it ended, and why. */
const call = (backend: Backend.Backend<Client>, { characters, deadline, messages, tool }: Calls, nth: number) => {
  const message = messages?.[nth] ?? `message ${nth}`
  const answered = backend
    .use((client, signal) => client.callTool({ name: tool, arguments: { message } }, undefined, { signal }))
    .pipe(
      Effect.match({
        onFailure: (error) => (error.reason === undefined ? error._tag : `${error._tag} ${error.reason}`),
        onSuccess: (result) => {
          const text = textOf(result)
          return (characters === undefined ? text === message : text.length === characters) ? "ok" : "another answer"
        }
      })
    )
  return deadline === undefined
    ? answered
    : Effect.timeoutOrElse(answered, { duration: deadline, orElse: () => Effect.succeed("given up") })
}

const heap = async () => {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setImmediate(resolve))
  }
  return process.memoryUsage().heapUsed
}

/** Calls the good backend all the time, one call after the other. */
const callForEver = Effect.fnUntraced(function* (backend: Backend.Backend<Client>) {
  const failures: Array<string> = []
  let succeeded = 0
  let slowest = 0
  let begun = performance.now()
  const once = Effect.gen(function* () {
    begun = performance.now()
    const outcome = yield* call(backend, { tool: "echo" }, succeeded)
    if (outcome === "ok") succeeded++
    else failures.push(outcome)
    slowest = Math.max(slowest, performance.now() - begun)
    yield* Effect.sleep(5)
  })
  yield* Effect.forkScoped(Effect.forever(once))
  // the one that is under way counts as well
  return Effect.map(backend.state, (state) => ({
    succeeded,
    failures,
    slowest: Math.max(slowest, performance.now() - begun),
    state: wordOf(state)
  }))
})

/** How many of the calls that are made at once begin together, and after how many milliseconds the next ones do. */
const burst = 100
const burstEvery = 5

/** Calls the hostile backend as it is told. */
const callAsTold = (backend: Backend.Backend<Client>) => {
  const outcomes: Record<string, number> = {}
  const heaps: Array<number> = []
  let slowest = 0
  let open = 0
  const groups = plan.calls ?? []
  const one = (calls: Calls, nth: number) =>
    Effect.suspend(() => {
      const begun = performance.now()
      open++
      return Effect.map(call(backend, calls, nth), (outcome) => {
        open--
        slowest = Math.max(slowest, performance.now() - begun)
        outcomes[outcome] = (outcomes[outcome] ?? 0) + 1
      })
    })
  const list = backend.use((client, signal) => client.listTools(undefined, { signal }))
  const run = Effect.gen(function* () {
    if (plan.listsTools === true) yield* list
    for (const calls of groups) {
      const numbers = Array.from({ length: calls.times ?? 1 }, (_, nth) => nth)
      // in bursts, so that it is not these calls that hold up the event loop
      const begin = (nth: number) => Effect.delay(one(calls, nth), Math.floor(nth / burst) * burstEvery)
      yield* Effect.forEach(numbers, calls.inTurn === true ? (nth) => one(calls, nth) : begin, {
        concurrency: calls.inTurn === true ? 1 : "unbounded",
        discard: true
      })
      if (plan.measuresHeap === true) heaps.push(yield* Effect.promise(heap))
    }
  })
  return {
    run,
    result: () => ({
      calls: open === 0 ? outcomes : { ...outcomes, "not settled": open },
      slowest,
      growth: heaps.length < 2 ? undefined : (heaps.at(-1) ?? 0) - (heaps[0] ?? 0)
    })
  }
}

const main = Effect.gen(function* () {
  const good = yield* Backend.make({
    id: "good",
    connector: HttpConnector.make({ url: task.good }),
    policy
  })
  yield* good.awaitConnected
  const seen = watch()
  const calledForEver = yield* callForEver(good)

  const events: Array<string> = []
  const hostile = yield* Backend.make({
    id: "hostile",
    connector: HttpConnector.make({
      url: task.hostile,
      ...(plan.client === "answering" ? { client: answeringClient } : {})
    }),
    policy: { ...policy, ...(plan.probe === undefined ? {} : { probe: plan.probe }) }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => void events.push(...wordsOf(event)))))

  const told = callAsTold(hostile)
  const isOver = Effect.gen(function* () {
    if (plan.calls !== undefined) yield* hostile.awaitConnected
    if (plan.isolateAfter !== undefined)
      yield* Effect.forkChild(Effect.delay(hostile.isolate, plan.isolateAfter), { startImmediately: true })
    yield* told.run
    while ((yield* hostile.state)._tag !== (plan.until ?? "Connected")) yield* Effect.sleep(10)
    yield* Effect.sleep(plan.watch ?? 500)
  })
  yield* Effect.timeoutOption(isOver, plan.within ?? within)

  const report: Report = {
    ...seen(),
    good: yield* calledForEver,
    ...told.result(),
    state: wordOf(yield* hostile.state),
    events
  }
  yield* Effect.callback<void>((resume) => {
    process.stdout.write(`${JSON.stringify(report)}\n`, () => resume(Effect.void))
  })
  process.exit()
})

process.on("disconnect", () => process.exit())
await Effect.runPromise(Effect.scoped(main))
