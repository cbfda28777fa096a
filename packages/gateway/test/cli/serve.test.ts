/** `serve` as a process: what it refuses before anything is started, what it tells, and that nothing is left of it. */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import { Leftovers, StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Exit, Scope } from "effect"
import { spawn } from "node:child_process"
import { readFile, rename, stat, writeFile } from "node:fs/promises"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert, describe, it, onTestFinished } from "vitest"
import type { Page } from "../../src/index.ts"
import { bin, folderWith, type Running, run, start, until } from "./program.ts"

/** A server that waits to be called, and never is. */
const quiet = (command: string, args: ReadonlyArray<string>) => ({ command, args })

const nobody = { mcpServers: { web: { url: "http://127.0.0.1:9/mcp" } } }

const folderFor = async (config: unknown) => {
  const folder = await folderWith({ "mcp.json": config })
  return {
    file: join(folder, "mcp.json"),
    state: join(folder, "state"),
    /** of the command line, but for what is given here in their place */
    args: argsWith(join(folder, "mcp.json"), join(folder, "state"))
  }
}

const argsWith =
  (config: string, state: string) =>
  (more: Readonly<Record<string, string>> = {}): ReadonlyArray<string> => [
    "serve",
    ...Object.entries({ "--config": config, "--state": state, "--port": "0", ...more }).map(
      ([flag, value]) => `${flag}=${value}`
    )
  ]

/** Does not end with its stdin, ignores SIGTERM, and has children of its own behind a shell. */
const stubborn = `trap '' TERM; sleep 1000 & while :; do sleep 1000; done`

/** Started, and so far that its addresses are told. */
const served = async (config: unknown, ...more: ReadonlyArray<string>) => {
  const folder = await folderFor(config)
  const running = await start([...folder.args(), "--json", ...more])
  let ended = false
  void running.ended.then(() => (ended = true))
  await until(() => running.output.stdout.endsWith("\n") || ended)
  if (ended) throw new Error(running.output.stderr)
  const addresses: { readonly page: string; readonly metrics: string } = JSON.parse(running.output.stdout)
  return { ...folder, ...running, addresses }
}

const statusOf = async (page: string) => {
  const response = await fetch(new URL("/api/status", page))
  const status: Page.Status = JSON.parse(await response.text())
  return status.backends
}

const stateOf = async (page: string, id: string) => (await statusOf(page)).find((each) => each.id === id)?.state

/** Lines of JSON on stderr. */
const eventsOf = ({ output }: Pick<Running, "output">): ReadonlyArray<Readonly<Record<string, unknown>>> =>
  output.stderr
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => JSON.parse(line))

/** How long it takes from now until nothing is left, in milliseconds. */
const untilNothingIsLeft = async ({ ended, left }: Pick<Running, "ended" | "left">) => {
  const from = performance.now()
  const code = await ended
  await until(async () => (await left()).length === 0)
  return { code, took: performance.now() - from }
}

describe("before anything is started, serve refuses with one line", () => {
  const refused = async (args: ReadonlyArray<string>, expected: RegExp, env?: Readonly<Record<string, string>>) => {
    const { code, stderr, stdout } = await run(args, { env })
    assert.deepStrictEqual([code, stdout], [1, ""])
    assert.match(stderr, expected)
    assert.lengthOf(stderr.trimEnd().split("\n"), 1)
  }

  it.each(["--port", "--metrics-port"])("a %s in use", async (flag) => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("it listens on no port")
    const { args } = await folderFor(nobody)
    await refused(
      args({ [flag]: String(address.port) }),
      new RegExp(`^127\\.0\\.0\\.1:${address.port} is in use: choose another port with ${flag} `)
    )
  })

  it("a configuration that is wrong", async () => {
    const { args, file } = await folderFor({ mcpServers: { web: { url: 7 } } })
    await refused(args(), new RegExp(`^${file}:1:\\d+ mcpServers\\.web\\.url: expected `))
  })

  it("a command that does not exist", async () => {
    const { args, file } = await folderFor({ mcpServers: { gone: { command: "no-such-command" } } })
    await refused(args(), new RegExp(`^${file} gone\\.command: expected a command that exists, in PATH`))
  })

  it("to let other machines in without a name by which they reach it", async () => {
    const { args } = await folderFor(nobody)
    await refused(args({ "--host": "0.0.0.0" }), /^--host 0\.0\.0\.0 lets other machines in: .* --allow-host NAME/)
  })

  it("an address that this machine does not have", async () => {
    const { args } = await folderFor(nobody)
    await refused(args({ "--host": "192.0.2.1", "--allow-host": "a" }), /^192\.0\.2\.1 is no address of this machine/)
  })

  it("a state folder that cannot be made", async () => {
    const { args, file } = await folderFor(nobody)
    await refused(args({ "--state": join(file, "state") }), /^the state folder .*mcp\.json\/state cannot be used: /)
  })

  it("an empty state folder, which would be the one in which it was started", async () => {
    const { args } = await folderFor(nobody)
    await refused(args({ "--state": "" }), /^--state takes a folder$/m)
  })

  it("a user without a home, where no state folder is named", async () => {
    const { file } = await folderFor(nobody)
    const env = { HOME: "", XDG_STATE_HOME: "" }
    await refused(["serve", "--config", file, "--port", "0"], /^this user has no home.*--state DIR$/m, env)
  })

  it.each(["VMCP_OPERATOR_TOKEN", "VMCP_CLIENT_TOKEN"])("an empty %s, which protects nothing", async (name) => {
    const { args } = await folderFor(nobody)
    await refused(args(), new RegExp(`^${name} is set, and is no token`), { [name]: "" })
  })

  it("a file of a secret that holds none", async () => {
    const folder = await folderFor(nobody)
    const other = await folderWith({ "operator-token": "short\n" })
    await refused(folder.args({ "--state": other }), /operator-token holds no secret: remove it/)
  })

  it.each([
    ["--port", "65536"],
    ["--port", "-1"],
    ["--allow-host", "a:1"],
    ["--allow-host", "http://a"]
  ])("%s %s", async (flag, value) => {
    const { args } = await folderFor(nobody)
    await refused(args({ [flag]: value }), new RegExp(`^${flag} takes `))
  })
})

describe("once it is started, serve", () => {
  it("tells its addresses on stdout once, and no secret in them where no terminal shows them", async () => {
    const { args, state } = await folderFor(nobody)
    const { child, ended, output } = await start(args({ "--metrics-port": "0" }))
    await until(() => output.stdout.includes("operator token"))
    const token = (await readFile(join(state, "operator-token"), "utf8")).trim()
    assert.match(
      output.stdout,
      /^page +http:\/\/127\.0\.0\.1:\d+\/\nMCP endpoint +http:\/\/127\.0\.0\.1:\d+\/mcp\nmetrics +http:\/\/127\.0\.0\.1:\d+\/metrics\noperator token +.*operator-token\n$/
    )
    child.kill("SIGTERM")
    assert.strictEqual(await ended, 0)
    assert.notInclude(output.stdout + output.stderr, token)
  })

  it("keeps its operator's token in a file that nobody else can read, and the same the next time", async () => {
    const { args, state } = await folderFor(nobody)
    const file = join(state, "operator-token")
    const tokens: Array<string> = []
    for (let times = 0; times < 2; times++) {
      const { child, ended, output } = await start([...args(), "--json"])
      await until(() => output.stdout.endsWith("\n"))
      tokens.push(await readFile(file, "utf8"))
      assert.strictEqual((await stat(file)).mode & 0o777, 0o600)
      assert.strictEqual((await stat(state)).mode & 0o777, 0o700)
      child.kill("SIGTERM")
      await ended
    }
    assert.match(tokens[0] ?? "", /^\S{43}\n$/)
    assert.strictEqual(tokens[0], tokens[1])
  })

  it("shows its backends to status, with the exit code that a health check asks for", async () => {
    const config = { mcpServers: { web: { url: "http://127.0.0.1:9/mcp", keepalive: { required: true } } } }
    const { addresses } = await served(config)
    await until(async () => (await stateOf(addresses.page, "web")) === "Disconnected")
    const plain = await run(["status", "--url", addresses.page])
    assert.strictEqual(plain.code, 0)
    assert.match(plain.stdout, /^1 backend, 1 needs attention\n\nBACKEND .*\nweb \(required\) +http +Disconnected /)
    const strict = await run(["status", "--url", addresses.page, "--exit-code"])
    assert.deepStrictEqual([strict.code, strict.stderr], [1, "a required backend is not connected: web\n"])
    const json = await run(["status", "--url", addresses.page, "--json"])
    assert.strictEqual(JSON.parse(json.stdout).backends[0].id, "web")
  })

  it("is watched by status until nobody reads what that prints", { timeout: 20_000 }, async () => {
    const { addresses } = await served(nobody)
    const { child, ended, output } = await start(["status", "--watch", "--url", addresses.page])
    await until(() => output.stdout.includes("web"))
    child.stdout.destroy()
    assert.strictEqual(await ended, 0)
  })

  it("shows what becomes of the calls of hosts, also in sessions of their own", async () => {
    const scope = await Effect.runPromise(Scope.make())
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const server = await Effect.runPromise(Scope.provide(StdioServers.scripted(), scope))
    const { args, command } = server
    const { addresses } = await served({ mcpServers: { own: { command, args, session: "per-client" } } })
    const shown = async () => (await statusOf(addresses.page))[0]
    const client = new Client({ name: "host", version: "1" })
    await client.connect(new StreamableHTTPClientTransport(new URL("/mcp", addresses.page)))
    onTestFinished(() => client.close())
    const slow = client.callTool(server.slow(60))
    await until(async () => (await shown())?.inFlight === 1)
    await client.callTool({ name: "exit" })
    assert.include(JSON.stringify(await slow), "OutcomeUnknown")
    await until(async () => (await shown())?.inFlight === 0)
    assert.strictEqual((await shown())?.failed, 2)
  })

  it("writes a JSON object a line for each change, and none for calls and probes", async () => {
    const running = await served(nobody)
    await until(() => running.output.stderr.includes('"AttemptFailed"'))
    running.child.kill("SIGTERM")
    await running.ended
    const tags = new Set(eventsOf(running).map((event) => event["_tag"]))
    for (const tag of ["Started", "StateChanged", "AttemptFailed"]) assert.isTrue(tags.has(tag), tag)
    assert.isFalse(tags.has("ProbeSent"))
  })

  it("counts what happens to its backends for Prometheus", async () => {
    const { addresses } = await served(nobody, "--metrics-port", "0")
    await until(async () => (await stateOf(addresses.page, "web")) === "Disconnected")
    const text = await (await fetch(addresses.metrics)).text()
    assert.include(text, 'vmcp_keepalive_connect_failure_total{backend_id="web",reason="refused"}')
  })

  it("takes an edit of its file, and goes on with what it had where the edit is wrong", async () => {
    const running = await served(nobody)
    const { addresses, file } = running
    await writeFile(
      `${file}.new`,
      JSON.stringify({ mcpServers: { ...nobody.mcpServers, more: { url: "http://127.0.0.1:9/" } } })
    )
    await rename(`${file}.new`, file)
    await until(async () => (await stateOf(addresses.page, "more")) !== undefined)
    await writeFile(file, '{ "mcpServers": { "web": { "url": 7 } } }')
    await until(() => running.output.stderr.includes("what it said before goes on"))
    assert.deepStrictEqual(
      (await statusOf(addresses.page)).map(({ id }) => id),
      ["web", "more"]
    )
    // told once: a later change is told after it, and it not again
    await writeFile(file, JSON.stringify(nobody))
    await until(async () => (await stateOf(addresses.page, "more")) === undefined)
    const told = running.output.stderr.split("what it said before goes on").length - 1
    assert.strictEqual(told, 1)
  })

  it("refuses an operator's command without the token, and obeys with it", async () => {
    const { addresses, state } = await served(nobody)
    const command = new URL("/api/backends/web/isolate", addresses.page)
    assert.strictEqual((await fetch(command, { method: "POST" })).status, 401)
    const token = (await readFile(join(state, "operator-token"), "utf8")).trim()
    const headers = { authorization: `Bearer ${token}` }
    assert.strictEqual((await fetch(command, { method: "POST", headers })).status, 200)
    await until(async () => (await stateOf(addresses.page, "web")) === "Isolated")
    // what its state does not allow, and what is not there
    const ordered = async (path: string) =>
      (await fetch(new URL(path, addresses.page), { method: "POST", headers })).status
    assert.strictEqual(await ordered("/api/backends/web/probe"), 409)
    assert.strictEqual(await ordered("/api/backends/web/reconnect"), 409)
    assert.strictEqual(await ordered("/api/backends/nobody/reset"), 404)
  })
})

describe("nothing is left two seconds after", () => {
  /** Of which none speaks MCP: all are being connected to. */
  const children = {
    stubborn: quiet("sh", ["-c", stubborn]),
    shell: quiet("sh", ["-c", "sleep 1000; true"]),
    plain: quiet("sleep", ["1000"])
  }

  const everything = async () => {
    const scope = Scope.makeUnsafe()
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const { args, command } = await Effect.runPromise(Scope.provide(StdioServers.everything, scope))
    return quiet(command, args)
  }

  const withChildren = async (...more: ReadonlyArray<string>) => {
    const running = await served({ mcpServers: { ...children, everything: await everything() } }, ...more)
    await until(async () => (await stateOf(running.addresses.page, "everything")) === "Connected")
    await until(async () => (await running.left()).filter((one) => one.includes("sleep 1000")).length >= 3)
    return running
  }

  it.each(["SIGTERM", "SIGINT", "SIGHUP"] as const)("%s, and the exit code is 0", async (signal) => {
    const running = await withChildren()
    running.child.kill(signal)
    const { code, took } = await untilNothingIsLeft(running)
    assert.strictEqual(code, 0)
    assert.isBelow(took, 2_000)
  })

  it("a second signal, which ends it at once", async () => {
    const running = await withChildren()
    running.child.kill("SIGTERM")
    const at = performance.now()
    running.child.kill("SIGINT")
    assert.strictEqual(await running.ended, 1)
    assert.isBelow(performance.now() - at, 500)
    await until(async () => (await running.left()).length === 0)
  })

  it("SIGKILL of the gateway, and the moment in which the watchdogs act", async () => {
    const running = await withChildren()
    running.child.kill("SIGKILL")
    const { code, took } = await untilNothingIsLeft(running)
    assert.strictEqual(code, "SIGKILL")
    assert.isBelow(took, 3_000)
  })
})

describe("over stdio, serve", () => {
  const initialize = {
    jsonrpc: "2.0",
    id: 1,
    method: "initialize",
    params: { protocolVersion: "2025-11-25", capabilities: {}, clientInfo: { name: "test", version: "1" } }
  }

  const overStdio = async () => {
    const scope = Scope.makeUnsafe()
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const { args, command } = await Effect.runPromise(Scope.provide(StdioServers.everything, scope))
    const { file, state } = await folderFor({
      mcpServers: { everything: { command, args }, stubborn: { command: "sh", args: ["-c", stubborn] } }
    })
    return ["serve", "--config", file, "--state", state, "--stdio"]
  }

  const messagesOf = ({ output }: Pick<Running, "output">): ReadonlyArray<Readonly<Record<string, unknown>>> =>
    output.stdout
      .split("\n")
      .slice(0, -1)
      .map((line) => JSON.parse(line))

  /** Its host has called a tool of it. */
  const called = async () => {
    const running = await start(await overStdio())
    const send = (message: unknown) => running.child.stdin.write(`${JSON.stringify(message)}\n`)
    const answer = async (id: number) => {
      await until(() => messagesOf(running).some((message) => message["id"] === id))
      return messagesOf(running).find((message) => message["id"] === id)
    }
    send(initialize)
    await answer(1)
    send({ jsonrpc: "2.0", method: "notifications/initialized" })
    send({
      jsonrpc: "2.0",
      id: 2,
      method: "tools/call",
      params: { name: "everything__echo", arguments: { message: "hi" } }
    })
    return { ...running, answer: await answer(2) }
  }

  it("is a server to its host, and writes nothing but messages to stdout", async () => {
    const { answer } = await called()
    assert.deepInclude(answer, { result: { content: [{ type: "text", text: "Echo: hi" }] } })
  })

  it("knows the last tools of a server that is down from its own file, and not those of that name in another", async () => {
    const scope = Scope.makeUnsafe()
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const { args, command } = await Effect.runPromise(Scope.provide(StdioServers.everything, scope))
    const { file, state } = await folderFor({ mcpServers: { server: { command, args } } })
    const down = { mcpServers: { server: { url: "http://127.0.0.1:9/mcp" } } }
    const other = await folderFor(down)
    /** What a host is told of the tools, once the server is there, or at once. */
    const told = async (config: string, isThere: boolean) => {
      const running = await start(["serve", "--config", config, "--state", state, "--stdio"])
      const ask = async (message: { readonly jsonrpc: string; readonly id: number; readonly method: string }) => {
        running.child.stdin.write(`${JSON.stringify(message)}\n`)
        await until(() => messagesOf(running).some(({ id }) => id === message.id))
        return JSON.stringify(messagesOf(running).find(({ id }) => id === message.id))
      }
      await ask(initialize)
      let id = 1
      const list = () => ask({ jsonrpc: "2.0", id: ++id, method: "tools/list" })
      let answer = await list()
      if (isThere) while (!answer.includes('"echo"')) answer = await list()
      running.child.stdin.end()
      await running.ended
      return answer
    }
    await told(file, true)
    await writeFile(file, JSON.stringify(down))
    assert.notInclude(await told(other.file, false), '"echo"')
    assert.include(await told(file, false), '"echo"')
  })

  it("leaves nothing two seconds after its host has ended stdin, and the exit code is 0", async () => {
    const running = await called()
    running.child.stdin.end()
    const { code, took } = await untilNothingIsLeft(running)
    assert.strictEqual(code, 0)
    assert.isBelow(took, 2_000)
  })

  it("leaves nothing two seconds after its host was killed", async () => {
    const args = await overStdio()
    const leftovers = await Effect.runPromise(Leftovers.make())
    const left = () =>
      Effect.runPromise(Effect.map(leftovers.list, (found) => found.filter((one) => one.startsWith("process"))))
    // a host in a process of its own: its end is the end of the stdin of what it started
    const program = `require("node:child_process").spawn(process.execPath, ${JSON.stringify([bin, ...args])}, { stdio: ["pipe", "ignore", "ignore"] }); setInterval(() => {}, 1000)`
    const host = spawn(process.execPath, ["-e", program], { stdio: "ignore" })
    onTestFinished(() => void host.kill("SIGKILL"))
    await until(async () => (await left()).filter((one) => one.includes("sleep 1000")).length >= 2)
    host.kill("SIGKILL")
    const from = performance.now()
    await until(async () => (await left()).length === 0)
    assert.isBelow(performance.now() - from, 2_000)
  })
})
