/**
 * A host program: two backends, one on a good server and one on a hostile one. It calls the good one all the time and the
 * hostile one as it is told, watches itself, and sends what it saw. `node host.ts <JSON: Plan>`.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { CreateMessageRequestSchema } from "@modelcontextprotocol/sdk/types.js"
import { Backend, ConnectionState, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { StdioConnector } from "../../src/index.ts"
import type { Attack, Plan, Report } from "./scenario.ts"

const plan: Plan = JSON.parse(process.argv[2] ?? "{}")
const server = fileURLToPath(new URL("server.ts", import.meta.url))

const policy: KeepalivePolicy.Options = {
  interval: "6 seconds",
  timeout: "5 seconds",
  confirmInterval: "250 millis",
  failureThreshold: 2,
  // what has been given up stays so until it is looked at
  backoff: { initial: "1 minute", factor: 1, cap: "1 minute" },
  circuit: "none"
}

/** Its handler holds what it is asked for as long as it works on it, as real ones do. */
const client = () => {
  const made = new Client({ name: "host", version: "1" }, { capabilities: { sampling: {} } })
  const held: Array<unknown> = []
  made.setRequestHandler(CreateMessageRequestSchema, async (request) => {
    if (plan.sampling === "answers") return { model: "m", role: "assistant", content: { type: "text", text: "hello" } }
    held.push(request)
    return new Promise<never>(() => {})
  })
  return made
}

const connectorOf = (attack: Attack, limits: Plan["limits"] = {}) =>
  StdioConnector.make({ command: process.execPath, args: [server, attack], client, limits })

/** CPU time of the main thread, in milliseconds. */
const worked = () => {
  const { system, user } = process.threadCpuUsage()
  return (user + system) / 1000
}

/** The most memory, descriptors and delay of the event loop there have been since it was made. */
const watch = () => {
  let descriptors = 0
  let blocked = 0
  let last = { at: performance.now(), worked: worked() }
  const look = () => {
    const now = { at: performance.now(), worked: worked() }
    // What others do on this machine meanwhile is not ours.
    blocked = Math.max(blocked, Math.min(now.at - last.at, now.worked - last.worked))
    last = now
    descriptors = Math.max(descriptors, readdirSync("/proc/self/fd").length)
  }
  const timer = setInterval(look, 10)
  return () => {
    look()
    clearInterval(timer)
    const [, peak = "0"] = /^VmHWM:\s*(\d+) kB$/m.exec(readFileSync("/proc/self/status", "utf8")) ?? []
    return { rss: Number(peak) * 1024, blocked, descriptors }
  }
}

const wordOf = (state: ConnectionState.ConnectionState): string => {
  const reason = ConnectionState.reasonOf(state)
  return reason === undefined ? state._tag : `${state._tag} ${reason}`
}

/** One call, in words: how it ended, and why. */
const call = (backend: Backend.Backend<Client>, characters: number) =>
  backend
    .use((client, signal) =>
      client.callTool({ name: "any", arguments: { message: "x".repeat(characters) } }, undefined, { signal })
    )
    .pipe(
      Effect.match({
        onFailure: (error) => (error.reason === undefined ? error._tag : `${error._tag} ${error.reason}`),
        onSuccess: () => "ok"
      })
    )

/** Calls the good backend all the time, one call after the other. */
const callForEver = Effect.fnUntraced(function* (backend: Backend.Backend<Client>) {
  const failures: Array<string> = []
  let succeeded = 0
  let slowest = 0
  let begun = performance.now()
  const once = Effect.gen(function* () {
    begun = performance.now()
    const outcome = yield* call(backend, 10)
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

const main = Effect.gen(function* () {
  const good = yield* Backend.make({ id: "good", connector: connectorOf("none"), policy })
  yield* good.awaitConnected
  const seen = watch()
  const calledForEver = yield* callForEver(good)

  const losses: Array<string> = []
  let garbage = 0
  const observer = KeepaliveEvent.layerObserver((event) => {
    if ((event._tag === "SessionClosed" || event._tag === "AttemptFailed") && event.detail !== undefined)
      losses.push(event.detail)
    if (event._tag === "Noticed" && event.notice === "garbage") garbage += event.count
  })
  const connector = connectorOf(plan.attack, plan.limits)
  const hostile = yield* Effect.provide(Backend.make({ id: "hostile", connector, policy }), observer)
  yield* hostile.awaitConnected

  const outcomes: Record<string, number> = {}
  const { characters = 10, count = 1 } = plan.calls ?? {}
  const calling = Effect.tap(call(hostile, characters), (outcome) =>
    Effect.sync(() => (outcomes[outcome] = (outcomes[outcome] ?? 0) + 1))
  )
  const isOver = Effect.gen(function* () {
    const calls = Array.from({ length: count }, (_, nth) => Effect.delay(calling, nth / 10))
    yield* Effect.all(calls, { concurrency: "unbounded", discard: true })
    while ((yield* hostile.state)._tag !== (plan.until ?? "Connected")) yield* Effect.sleep(10)
    yield* Effect.sleep(plan.watch ?? 500)
  })
  yield* Effect.timeoutOption(isOver, plan.within ?? 25_000)
  const report: Report = {
    ...seen(),
    good: yield* calledForEver,
    calls: outcomes,
    state: wordOf(yield* hostile.state),
    losses,
    garbage
  }
  yield* Effect.callback<void>((resume) => {
    process.send?.(report, () => resume(Effect.void))
  })
})

process.on("disconnect", () => process.exit())
await Effect.runPromise(Effect.scoped(main))
process.exit()
