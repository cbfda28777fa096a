/** Two servers, the file that names them, and the program that serves it. */
import { McpServers, Ports } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Scope } from "effect"
import { readFile, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { assert, onTestFinished } from "vitest"
import { folderWith, start, until } from "../cli/program.ts"

/** Short, so that what is waited for comes soon; a call waits for its server for as long as it takes to start one. */
const keepalive = {
  interval: "5 seconds",
  timeout: "1 second",
  confirmInterval: "200 millis",
  // each call after a silence is preceded by a probe: a server that hangs is found by the call, and not by the interval
  staleAfter: "100 millis",
  connectTimeout: "20 seconds",
  backoff: { initial: "100 millis", factor: 2, cap: "500 millis" },
  waitForSession: "60 seconds",
  stableAfter: "200 millis",
  circuit: "none"
}

export const world = async () => {
  const scope = Scope.makeUnsafe()
  onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
  const everything = () => Effect.runPromise(Scope.provide(McpServers.everything, scope))
  const [web, other] = await Promise.all([everything(), everything()])
  const folder = await folderWith({})
  const file = join(folder, "mcp.json")
  const write = (servers: Readonly<Record<string, object>>) =>
    writeFile(file, JSON.stringify({ keepalive, mcpServers: servers }))
  const servers = {
    web: { url: web.url },
    // the one whose circuit opens
    other: { url: other.url, keepalive: { circuit: { failures: 2, openFor: "1 second" } } }
  }
  await write(servers)
  const args = (port: number) => ["serve", "--config", file, "--state", join(folder, "state"), "--port", String(port)]
  /** On a port that nobody takes while it does not run. */
  const gateway = async (port?: number) => {
    const running = await start([...args(port ?? (await Effect.runPromise(Ports.free))), "--json"])
    let ended = false
    void running.ended.then(() => (ended = true))
    await until(() => running.output.stdout.endsWith("\n") || ended)
    if (ended) throw new Error(running.output.stderr)
    const { mcp, page }: { readonly mcp: string; readonly page: string } = JSON.parse(running.output.stdout)
    return { ...running, mcp, page, port: Number(new URL(mcp).port) }
  }
  /** Has the gateway probe a server now, and not when the interval is over. */
  const probe = async (page: string, id: string) => {
    const token = (await readFile(join(folder, "state", "operator-token"), "utf8")).trim()
    const headers = { authorization: `Bearer ${token}` }
    const { status } = await fetch(new URL(`/api/backends/${id}/probe`, page), { method: "POST", headers })
    assert.strictEqual(status, 200)
  }
  const run = <A, E>(effect: Effect.Effect<A, E>) => Effect.runPromise(effect)
  return { web, other, servers, write, gateway, probe, run, file }
}

export const stateOf = async (page: string, id: string): Promise<string | undefined> => {
  const status: { readonly backends: ReadonlyArray<{ readonly id: string; readonly state: string }> } = JSON.parse(
    await (await fetch(new URL("/api/status", page))).text()
  )
  return status.backends.find((each) => each.id === id)?.state
}
