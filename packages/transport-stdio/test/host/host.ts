/**
 * A host program as its users write it: opens a session with each server that it is told of, says which processes it has
 * started for them, and works until it is killed. `node host.ts <JSON: Array<Wanted>>`.
 */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { StdioConnector } from "../../src/index.ts"

/** What a connector is made of, as JSON. */
export type Wanted = Pick<StdioConnector.Options, "command" | "args" | "watchdog" | "shutdown">

/** What it says over IPC once all sessions are open: for each of them the pids of its own that it has started. */
export type Ready = ReadonlyArray<ReadonlyArray<number>>

const nobody = {
  alive: () => performance.now(),
  observe: () => {},
  output: () => {},
  lost: () => {},
  notice: () => {},
  listChanged: () => {},
  subscriptions: new Set<string>()
}

const pids = () => ProcessGroups.children().map(({ pid }) => pid)

const main = Effect.gen(function* () {
  const wanted: ReadonlyArray<Wanted> = JSON.parse(process.argv[2] ?? "[]")
  const ready: Array<ReadonlyArray<number>> = []
  for (const options of wanted) {
    const before = pids()
    yield* StdioConnector.make(options).open(nobody)
    ready.push(pids().filter((pid) => !before.includes(pid)))
  }
  yield* Effect.sync(() => process.send?.(ready satisfies Ready))
  yield* Effect.never
})

await Effect.runPromise(Effect.scoped(main))
