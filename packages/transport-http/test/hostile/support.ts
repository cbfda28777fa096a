/** One scenario: a hostile server, a good one and the host of both, each in a process of its own. */
import { assert, it } from "@effect/vitest"
import { Leftovers } from "@vmcp-keepalive/testkit"
import { Effect, type Scope } from "effect"
import { type ChildProcess, fork } from "node:child_process"
import { readdirSync, readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { Name } from "./attacks/attacks.ts"
import { type Plan, type Report, type ServerName, type Tally, type Task, within } from "./scenario.ts"

/** What becomes of one scenario. */
export interface Row {
  /** what the hostile server does: the name of a scenario in `attacks` */
  readonly server: Name
  /** what the host does with it */
  readonly host: Plan
  /** how many of its calls end in which way */
  readonly calls: Report["calls"] | ((calls: Report["calls"], tally: Tally) => void)
  /** where the hostile backend is in the end; with the session, where that is not the first one */
  readonly state: string
  /** what else holds */
  readonly also?: (report: Report, tally: Tally) => void
}

/** What holds for the host in every scenario. */
const bounds = {
  /** bytes; about 150 MB of it is Node with the modules of a host */
  rss: 400e6,
  /** milliseconds for which the event loop may be held up */
  blocked: 1000,
  descriptors: 100,
  /** milliseconds that a call to the other backend may take */
  other: 2000
}

/** How long a host may take to start, and to say what it has seen once it is over, in milliseconds. */
const grace = 20_000

/** A test for each row, named after what it promises. */
export const promises = (rows: Readonly<Record<string, Row>>): void => {
  for (const [promise, row] of Object.entries(rows)) {
    it.live(promise, () =>
      Effect.gen(function* () {
        const leftovers = yield* Leftovers.make()
        yield* Effect.scoped(check(row))
        yield* leftovers.check
      })
    )
  }
}

const check = Effect.fnUntraced(function* ({ also, calls, host, server, state }: Row) {
  const [hostile, good] = yield* Effect.all([startServer(server), startServer("good")], { concurrency: 2 })
  const report = yield* runHost({ plan: host, hostile: hostile.url, good: good.url })
  const tally = yield* hostile.tally
  const seen = `${JSON.stringify(report)}\n${JSON.stringify(tally)}`
  assert.isAbove(tally.attacks, 0, `the server has done nothing: ${seen}`)
  if (typeof calls === "function") calls(report.calls, tally)
  else assert.deepStrictEqual(report.calls, calls, seen)
  assert.strictEqual(report.state, state, seen)
  assert.deepStrictEqual(report.good.failures, [], seen)
  assert.strictEqual(report.good.state, "Connected", seen)
  assert.isAbove(report.good.succeeded, 0, seen)
  assert.isBelow(report.good.slowest, bounds.other, `the slowest call to the other backend: ${seen}`)
  assert.isBelow(report.blocked, bounds.blocked, `the event loop was held up: ${seen}`)
  assert.isBelow(report.rss, bounds.rss, `memory: ${seen}`)
  assert.isBelow(report.descriptors, bounds.descriptors, `descriptors: ${seen}`)
  also?.(report, tally)
})

const program = (name: string) => fileURLToPath(new URL(name, import.meta.url))

const { NODE_COMPILE_CACHE, PATH } = process.env
const env = { PATH, NODE_COMPILE_CACHE }

/** Starts a program of this suite, without what a test runner has put into the environment. Killed with the scope. */
const start = (name: string, args: ReadonlyArray<string>, execArgv: ReadonlyArray<string> = []) =>
  Effect.acquireRelease(
    Effect.sync(() => fork(program(name), args, { env, execArgv: [...execArgv], silent: true })),
    (child) =>
      Effect.callback<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        child.kill("SIGKILL")
      })
  )

interface Server {
  readonly url: string
  readonly tally: Effect.Effect<Tally>
}

const startServer = (name: ServerName): Effect.Effect<Server, never, Scope.Scope> =>
  Effect.gen(function* () {
    const child = yield* start("server.ts", [name])
    const errors = lastOf(child.stderr)
    const hear = <Message>(ask: () => void): Effect.Effect<Message> =>
      Effect.callback((resume) => {
        child.once("message", (message: Message) => resume(Effect.succeed(message)))
        child.once("exit", () => resume(Effect.die(new Error(`the server ${name} has ended: ${errors()}`))))
        ask()
      })
    const port = yield* hear<number>(() => {})
    return {
      url: `http://127.0.0.1:${port}/mcp`,
      tally: Effect.suspend(() => hear<Tally>(() => child.send("tally")))
    }
  })

const runHost = (task: Task): Effect.Effect<Report, never, Scope.Scope> =>
  Effect.gen(function* () {
    const collects = task.plan.measuresHeap === true ? ["--expose-gc"] : []
    const child = yield* start("host.ts", [JSON.stringify(task)], ["--max-old-space-size=512", ...collects])
    const errors = lastOf(child.stderr)
    const output = lastOf(child.stdout)
    const bound = (task.plan.within ?? within) + grace
    const closed = Effect.callback<Report>((resume) => {
      child.once("close", (code, signal) =>
        resume(
          code === 0
            ? Effect.sync((): Report => JSON.parse(output()))
            : Effect.die(new Error(`the host has not lived: it ended with ${signal ?? code}, ${reasonIn(errors())}`))
        )
      )
    })
    return yield* Effect.timeoutOrElse(closed, {
      duration: bound,
      orElse: () =>
        Effect.die(new Error(`the host stands still: it has said nothing for ${bound} ms (${holdings(child)})`))
    })
  })

/** What a process holds, as the kernel says it. */
const holdings = ({ pid }: ChildProcess): string => {
  const peak = /VmHWM:\s*(.*)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]
  return `at most ${peak}, now ${readdirSync(`/proc/${pid}/fd`).length} descriptors`
}

/** Why Node has ended: V8's word for it, where it is among what was written, without the frames around it. */
const reasonIn = (errors: string): string => /FATAL ERROR: .*/.exec(errors)?.[0] ?? errors.slice(-2000)

/** What a process has written last. */
const lastOf = (stream: ChildProcess["stdout"]) => {
  let text = ""
  stream?.setEncoding("utf8").on("data", (part: string) => {
    text = (text + part).slice(-100_000)
  })
  return () => text
}
