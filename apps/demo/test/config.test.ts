/** The program on a file of the user's own, as its user runs it. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect } from "effect"
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { expect, onTestFinished, test } from "vitest"
import { start, until } from "./program.ts"

const secret = "PLANTED-SECRET"

const fileWith = (content: unknown) => {
  const folder = mkdtempSync(join(tmpdir(), "demo-config-"))
  onTestFinished(() => rmSync(folder, { recursive: true }))
  const path = join(folder, "my.json")
  const write = (to: string, next: unknown) =>
    writeFileSync(to, typeof next === "string" ? next : JSON.stringify(next, null, 2))
  write(path, content)
  return {
    path,
    write: (next: unknown) => write(path, next),
    rename: (next: unknown) => {
      write(`${path}~`, next)
      renameSync(`${path}~`, path)
    }
  }
}

/** One server over HTTP that runs, and one over stdio that is described. */
const withServers = (body: (http: ScriptedServer.ScriptedServer, stdio: StdioServers.StdioServer) => Promise<void>) =>
  Effect.gen(function* () {
    const http = yield* ScriptedServer.make({ authorization: `Bearer ${secret}` })
    const stdio = yield* StdioServers.scripted()
    yield* Effect.promise(() => body(http, stdio))
  }).pipe(Effect.scoped, Effect.runPromise)

test.each(["SIGINT", "SIGTERM"] as const)(
  "keeps the servers of a file alive, over HTTP and stdio, follows its edits, serves page, MCP and metrics and ends on %s without a child",
  (signal) =>
    withServers(async (http, stdio) => {
      const web = { url: http.url, headers: { authorization: `Bearer ${secret}` } }
      const local = { command: stdio.command, args: stdio.args }
      const { path, rename, write } = fileWith({ mcpServers: { web, local } })
      const { child, ended, left, output } = await start("--config", path, "--port", "0")
      const says = (line: RegExp) => until(() => line.test(output.stdout))

      await says(/my\.json +\+ web, \+ local/)
      await says(/web +Connecting → Connected \(session 1\)/)
      await says(/local +Connecting → Connected \(session 1\)/)
      const [, url] = /^metrics +(http:\/\/127\.0\.0\.1:\d+\/metrics)$/m.exec(output.stdout) ?? []
      const origin = new URL(url ?? "").origin
      expect(await (await fetch(`${origin}/`)).text()).toContain("<!doctype html>")
      const client = new Client({ name: "test", version: "1" })
      await client.connect(new StreamableHTTPClientTransport(new URL(`${origin}/mcp`)) as Transport)
      await until(async () => {
        const names = (await client.listTools()).tools.map(({ name }) => name)
        return names.includes("web__echo") && names.includes("local__echo")
      })
      await client.close()
      // the token is of the user's own servers: it is shown on a terminal alone
      expect(output.stdout).not.toContain("token")
      const metrics = async () => (await fetch(url ?? "")).text()
      expect(await metrics()).toContain('vmcp_keepalive_state{backend_id="local",state="Connected"} 1')

      // an edit that is wrong: every mistake, and all goes on
      write({ mcpServers: { web: { ...web, keepalive_interval: 1 }, local: { ...local, keepalive_method: "pong" } } })
      await says(/my\.json +wrong: what it said before goes on/)
      const mistakes = output.stderr.split("\n").filter((line) => line.includes("my.json:"))
      expect(mistakes).toEqual([
        expect.stringMatching(/my\.json:\d+:\d+ mcpServers\.web\.keepalive_interval: expected /),
        expect.stringMatching(/my\.json:\d+:\d+ mcpServers\.local\.keepalive_method: expected /)
      ])

      rename({ mcpServers: { web: { ...web, keepalive_interval: 30 }, local, again: web } })
      await says(/my\.json +web: another policy, \+ again/)
      await says(/again +Connecting → Connected \(session 1\)/)
      write({ mcpServers: { web, local } })
      await says(/my\.json +- again, web: another policy/)

      // what dies comes back
      const [pid] = await Effect.runPromise(stdio.pids)
      process.kill(pid ?? 0, "SIGKILL")
      await says(/local +Connecting → Connected \(session 2\)/)
      expect(output.stdout).not.toMatch(/web .*session 2/)
      expect(await metrics()).toMatch(/vmcp_keepalive_reconnect_total\{backend_id="local",outcome="\w+"\} 1/)
      expect(await metrics()).toMatch(/^vmcp_keepalive_backends 2$/m)

      child.kill(signal)
      expect(await ended).toEqual([0, null])
      expect(await left()).toEqual([])
      expect(output.stdout + output.stderr).not.toContain(secret)
      expect(output.stdout).not.toContain("▼")
      expect(await Effect.runPromise(http.stats)).toMatchObject({ sessions: 0, streams: 0 })
    })
)

test("names every mistake of a file that is wrong, starts nothing and ends with 1", async () => {
  const { path } = fileWith({
    keepalive: { intervall: "30 seconds" },
    mcpServers: {
      a: { url: `ftp://${secret}` },
      b: { command: process.execPath, headers: {} },
      c: { url: "http://h/mcp", headers: { "x y": secret } }
    }
  })
  const { ended, output } = await start("--config", path, "--port", "0")
  expect(await ended).toEqual([1, null])
  expect(output.stdout).toBe("")
  const lines = output.stderr.trim().split("\n")
  expect(lines.map((line) => line.slice(path.length).replaceAll(/:\d+/g, "").split(":")[0]?.trim())).toEqual([
    "keepalive.intervall",
    "mcpServers.a.url",
    "mcpServers.b.headers",
    "mcpServers.c.headers.#1"
  ])
  expect(output.stderr).not.toContain(secret)
})

test.each([
  ["a file that is not there", () => join(tmpdir(), "no-such-file.json"), /no-such-file\.json: expected /],
  [
    "a command that does not exist",
    () => fileWith({ mcpServers: { a: { command: "/no/such" } } }).path,
    /"a"[^]*connector\.command: expected a command that exists/
  ]
])("%s: is told, and ends with 1", async (_what, path, told) => {
  const { ended, output } = await start("--config", path(), "--port", "0")
  expect(await ended).toEqual([1, null])
  expect(output.stderr).toMatch(told)
  expect(output.stdout).toBe("")
})

test("has no table to print as JSON", async () => {
  const { ended, output } = await start("--config", "my.json", "--json")
  expect(await ended).toEqual([1, null])
  expect(output.stderr).toContain("--json")
})
