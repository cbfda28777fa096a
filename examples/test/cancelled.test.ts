/** A call that a framework gives up ends alone: neither the session, nor the child, nor another call ends with it. */
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect } from "effect"
import { assert, describe, it } from "vitest"
import type { Framework, Host } from "./support/framework.ts"
import { doors } from "./support/frameworks.ts"
import * as Stage from "./support/stage.ts"

/** Milliseconds: longer than any test. */
const veryLong = 60_000

const connect = (framework: Framework, { server }: Stage.Stage) =>
  Effect.acquireRelease(
    Effect.promise(() =>
      framework.kept({
        id: framework.name,
        connector:
          server.kind === "http"
            ? HttpPeerConnector.make({ url: server.url })
            : StdioPeerConnector.make({ command: server.command, args: server.args })
      })
    ),
    (host) => Effect.promise(() => host.close())
  )

/** Gives one call up while another is under way. */
const check = (
  framework: Framework,
  wire: Stage.Wire,
  giveUp: (host: Host, executing: () => Promise<void>) => Promise<unknown>
) =>
  Effect.gen(function* () {
    const stage = yield* Stage.make(wire)
    const host = yield* connect(framework, stage)
    const executing = (times: number) => Effect.runPromise(stage.executing("slow", times))
    const other = host.call("slow", { ms: 8000 })
    yield* Effect.promise(() => executing(1))
    yield* Effect.promise(() => giveUp(host, () => executing(2)))
    assert.strictEqual(yield* Effect.promise(() => other), "done")
    assert.strictEqual(yield* Effect.promise(() => host.call("echo", { message: "after" })), "Echo: after")
    assert.strictEqual(yield* stage.sessions, 1)
    assert.deepInclude(host.told.now(), { closes: 0, errors: [] })
    assert.strictEqual((yield* stage.executions).length, 3)
  }).pipe(Effect.scoped, Effect.runPromise)

const rejected = (promise: Promise<unknown>): Promise<unknown> =>
  promise.then(
    (answer) => assert.fail(`answered: ${String(answer)}`),
    (error: unknown) => error
  )

describe.concurrent.each(["http", "stdio"] as const)("over %s, a call that is", (wire) => {
  it.each(doors.filter(({ canCancel = true }) => canCancel))("cancelled by $name ends alone", (framework) =>
    check(framework, wire, async (host, executing) => {
      const controller = new AbortController()
      const call = rejected(host.call("slow", { ms: veryLong }, { signal: controller.signal }))
      await executing()
      controller.abort()
      await call
    })
  )

  it.each(doors.filter(({ canTimeOut }) => canTimeOut))("too slow for $name ends alone", (framework) =>
    check(framework, wire, async (host, executing) => {
      const call = rejected(host.call("slow", { ms: veryLong }, { timeout: 4000 }))
      await Promise.all([call, executing()])
    })
  )
})
