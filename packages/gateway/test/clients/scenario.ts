/** Everything that happens to the servers of a client, to their file and to the gateway, while the client goes on. */
import { assert } from "vitest"
import { until } from "../cli/program.ts"
import type { Host } from "./hosts.ts"
import { stateOf, world } from "./world.ts"

const textOf = (content: unknown): string => JSON.stringify(content)

export const goesOn = async (connect: (mcp: string) => Promise<Host>): Promise<void> => {
  const { gateway, other, probe, run, servers, web, write } = await world()
  const first = await gateway()
  const host = await connect(first.mcp)
  const session = host.sessionId?.()
  if (host.sessionId !== undefined) assert.isString(session)
  const echoes = async (message: string) =>
    assert.include(textOf((await host.call("web__echo", { message })).content), `Echo: ${message}`)
  const is = (id: string, holds: (state: string | undefined) => boolean) =>
    until(async () => holds(await stateOf(first.page, id)))

  assert.includeMembers([...(await host.tools())], ["web__echo", "other__echo"])
  await echoes("begin")
  if (host.progress !== undefined) assert.deepStrictEqual(await host.progress(), [1, 2, 3, 4])
  if (host.asked !== undefined) assert.strictEqual(await host.asked(), 1)

  // killed idle: the gateway has seen it
  await is("web", (state) => state === "Connected")
  await run(web.kill)
  await is("web", (state) => state !== "Connected")
  await run(web.start)
  await echoes("killed idle")

  // a stale session: the server is another one before anybody has noticed
  await run(web.restart)
  await echoes("stale session")

  // killed in a call
  const lost = host.call("web__trigger-long-running-operation", { duration: 20, steps: 20 })
  await until(async () => (await run(web.executions)).some(({ arguments: args }) => textOf(args).includes("20")))
  await run(web.kill)
  const answer = await lost
  assert.isTrue(answer.isError)
  assert.match(textOf(answer.content), /unknown/)
  const waiting = echoes("killed in a call")
  await run(web.start)
  await waiting

  // frozen: a call finds it so, and ends in one way or another
  await is("web", (state) => state === "Connected")
  await run(web.freeze)
  const frozen = host.call("web__echo", { message: "frozen" })
  await probe(first.page, "web")
  await is("web", (state) => state !== "Connected")
  await run(web.thaw)
  await frozen
  await echoes("thawed")

  // an open circuit: answered at once, still listed, and the others are served
  await run(other.kill)
  await is("other", (state) => state === "CircuitOpen")
  const rejected = await host.call("other__echo", { message: "never" })
  assert.isTrue(rejected.isError)
  assert.match(textOf(rejected.content), /not executed/)
  assert.include(await host.tools(), "other__echo")
  await echoes("beside an open circuit")
  await run(other.start)
  // the session of this client has a circuit of its own, which is tried a second later at most
  let tries = 0
  const isBack = async () =>
    textOf((await host.call("other__echo", { message: `back ${tries++}` })).content).includes("Echo: back")
  await until(isBack)

  // the file names one more
  await write({ ...servers, third: { url: web.url } })
  await until(async () => (await host.tools()).includes("third__echo"))

  // the gateway itself
  first.child.kill("SIGKILL")
  await first.ended
  const second = await gateway(first.port)
  assert.strictEqual(second.port, first.port)
  await echoes("after the gateway")
  assert.strictEqual(host.sessionId?.(), session)

  const executed = (await Promise.all([run(web.executions), run(other.executions)]))
    .flat()
    .flatMap(({ arguments: args, tool }) => (tool === "echo" ? [textOf(args)] : []))
  assert.strictEqual(new Set(executed).size, executed.length, "a call ran twice")
  assert.notInclude(executed.join(), "never")
}
