import { BackendSpec } from "@vmcp-keepalive/config"
import { Duration, Redacted } from "effect"
import { mkdtempSync, mkdirSync, copyFileSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { afterAll, assert, describe, it } from "vitest"
import { environment, load, loaded, mistakes, parse } from "./support.ts"

const folder = fileURLToPath(new URL("files", import.meta.url))
const temporary = mkdtempSync(join(tmpdir(), "keepalive-config-"))
afterAll(() => rmSync(temporary, { recursive: true }))

const reveal = (record: Readonly<Record<string, Redacted.Redacted<string>>>) =>
  Object.fromEntries(Object.entries(record).map(([key, value]) => [key, Redacted.value(value)]))

/** A spec as a person would write it down. */
const plain = ({ enabled, id, policy, settings, tools }: BackendSpec.BackendSpec) => {
  const connection =
    settings.kind === "http"
      ? { url: Redacted.value(settings.url), headers: reveal(settings.headers) }
      : {
          run: [settings.command, ...settings.args].map(BackendSpec.reveal).join(" "),
          env: reveal(settings.env),
          ...(settings.cwd === undefined ? {} : { cwd: BackendSpec.reveal(settings.cwd) })
        }
  const interval =
    policy.interval === undefined ? {} : { interval: Duration.format(Duration.fromInputUnsafe(policy.interval)) }
  const probe = policy.probe === undefined ? {} : { probe: policy.probe }
  const shown = tools.include ?? tools.exclude
  return { id, ...(enabled ? {} : { enabled }), ...connection, ...interval, ...probe, ...(shown ? { tools } : {}) }
}

const read = async (name: string) => {
  const { specs, warnings } = loaded(await load(join(folder, name)))
  assert.deepStrictEqual(warnings, [])
  return specs.map(plain)
}

/** The same file, where servers of a kind that is not supported are off. */
const withoutOthers = async (name: string) => {
  const file = JSON.parse(readFileSync(join(folder, name), "utf8")) as { mcpServers: Record<string, { type?: string }> }
  const servers = Object.entries(file.mcpServers).map(
    ([id, entry]) =>
      [id, entry.type === "sse" || entry.type === "websocket" ? { ...entry, enabled: false } : entry] as const
  )
  return loaded(await parse({ mcpServers: Object.fromEntries(servers) }))
}

describe("a real file is read as its host reads it", () => {
  it("Claude Desktop", async () => {
    assert.deepStrictEqual(await read("claude_desktop.json"), [
      { id: "github", run: "uvx mcp-server-github", env: { GITHUB_TOKEN: environment.GITHUB_TOKEN } },
      { id: "filesystem", run: "npx -y @modelcontextprotocol/server-filesystem /home/user/docs", env: {} },
      { id: "memory", run: "npx -y @modelcontextprotocol/server-memory", env: {} }
    ])
  })

  it("Claude Code, whose SSE and WebSocket servers are mistakes until they are off", async () => {
    assert.deepStrictEqual(mistakes(await load(join(folder, "claude_code.json"))), [
      "19:7 mcpServers.remote-sse.type: expected http or stdio: there is no transport for sse",
      "23:7 mcpServers.remote-ws.type: expected http or stdio: there is no transport for websocket"
    ])
    const { specs, warnings } = await withoutOthers("claude_code.json")
    assert.deepStrictEqual(specs.map(plain), [
      { id: "local-server", run: "node server.js", env: { NODE_ENV: "production" } },
      { id: "remote-http", url: "http://localhost:8080/mcp", headers: { Authorization: "Bearer token123" } }
    ])
    assert.strictEqual(warnings.length, 2)
  })

  it("VS Code, with comments, trailing commas, inputs and an envFile of its workspace", async () => {
    mkdirSync(join(temporary, ".vscode"))
    const file = join(temporary, ".vscode", "mcp.json")
    copyFileSync(join(folder, "vscode.json"), file)
    const missing = mistakes(await load(file))
    assert.lengthOf(missing, 1)
    assert.include(missing[0], "servers.fetch.envFile: expected a file of variables that can be read")

    writeFileSync(join(temporary, ".env"), `# comment\nexport A=1\nB_C="two words" # comment\nD='#3'\n`)
    assert.deepStrictEqual(loaded(await load(file)).specs.map(plain), [
      {
        id: "github",
        url: "https://api.githubcopilot.com/mcp/",
        headers: { Authorization: `Bearer ${environment.TOKEN}` }
      },
      { id: "fetch", run: "uvx mcp-server-fetch", env: { A: "1", B_C: "two words", D: "#3" } }
    ])
  })

  it("Cursor", async () => {
    assert.deepStrictEqual(mistakes(await load(join(folder, "cursor.json"))), [
      "11:7 mcpServers.sse-server.type: expected http or stdio: there is no transport for sse"
    ])
    assert.deepStrictEqual((await withoutOthers("cursor.json")).specs.map(plain), [
      {
        id: "github",
        run: "npx -y @modelcontextprotocol/server-github",
        env: { GITHUB_TOKEN: environment.GITHUB_TOKEN }
      },
      { id: "streamable-server", url: "http://localhost:9090/stream", headers: {} },
      { id: "with-cwd", run: "python -m mcp_server", env: {}, cwd: "/home/user/project" }
    ])
  })

  it("Windsurf", async () => {
    assert.deepStrictEqual(await read("windsurf.json"), [
      {
        id: "github",
        run: "npx -y @modelcontextprotocol/server-github",
        env: { GITHUB_PERSONAL_ACCESS_TOKEN: environment.GITHUB_TOKEN },
        tools: { include: undefined, exclude: ["delete_repository"] }
      },
      {
        id: "remote-http-mcp",
        url: "https://example.com/mcp",
        headers: { API_KEY: `Bearer ${environment.API_TOKEN}` }
      }
    ])
  })

  it("Cline", async () => {
    assert.deepStrictEqual(await read("cline.json"), [
      { id: "a", enabled: false, run: "node x.js", env: {} },
      { id: "b", url: "https://x/mcp", headers: {} },
      { id: "windsurf", url: "https://x/mcp", headers: {} }
    ])
  })

  it("Zed", async () => {
    assert.deepStrictEqual(await read("zed.json"), [
      { id: "a", run: "npx hexdocs-mcp", env: {} },
      { id: "b", url: "https://api.example.com/mcp?profile=free", headers: {} }
    ])
  })

  it("Gemini, which uses only the servers that it allows", async () => {
    assert.deepStrictEqual(await read("gemini.json"), [
      { id: "github", run: "uvx mcp-server-github", env: { GITHUB_TOKEN: environment.GITHUB_TOKEN } },
      {
        id: "http-api",
        enabled: false,
        url: "http://api.example.com/mcp",
        headers: { Authorization: "Bearer api-token" }
      },
      { id: "sse-server", enabled: false, url: "http://localhost:8080/events", headers: {} },
      { id: "with-oauth", enabled: false, url: "http://auth.example.com/mcp", headers: {} },
      {
        id: "with-tools",
        enabled: false,
        run: "node server.js",
        env: {},
        tools: { include: ["safe_tool"], exclude: ["dangerous_tool"] }
      }
    ])
  })

  it("Codex, in TOML", async () => {
    assert.deepStrictEqual(await read("codex.toml"), [
      {
        id: "github",
        run: "uvx mcp-server-github",
        env: { HOME: environment.HOME, PATH: environment.PATH, GITHUB_TOKEN: environment.GITHUB_TOKEN }
      },
      { id: "filesystem", run: "npx -y @modelcontextprotocol/server-filesystem /data", env: {}, cwd: "/home/user" },
      {
        id: "http-server",
        url: "http://localhost:8080/mcp",
        headers: { "X-Custom-Header": "value", Authorization: `Bearer ${environment.API_TOKEN}` }
      },
      { id: "disabled-server", enabled: false, run: "node disabled.js", env: {} },
      {
        id: "with-timeouts",
        run: "python -m slow_server",
        env: {},
        tools: { include: ["tool1", "tool2"], exclude: ["dangerous_tool"] }
      }
    ])
  })

  it("both seeds' examples, word for word", async () => {
    assert.deepStrictEqual(await read("seed-vmcp.json"), [
      {
        id: "my-mcp-server",
        url: "http://localhost:8000",
        headers: { Authorization: "Bearer my-token" },
        interval: "30s"
      },
      {
        id: "browser",
        run: "npx @playwright/mcp",
        env: {},
        interval: "30s",
        probe: { method: "tool", tool: { name: "browser_tabs" } }
      },
      { id: "quiet", url: "https://x/mcp", headers: {}, interval: "30s", probe: "none" }
    ])
  })
})

describe("what a server may say", () => {
  const one = async (entry: unknown) => {
    const { specs } = loaded(await parse({ mcpServers: { a: entry } }))
    assert.lengthOf(specs, 1)
    return specs.map(plain)[0]
  }
  const url = "http://h/mcp"

  it("${VAR:-default}, ${env:VAR}, and $${ for what is meant as it is", async () => {
    const args = ["${NOPE:-x y}", "${NOPE:-}", "${EMPTY:-e}", "${env:HOME}/x", "$${HOME}", "$HOME", "${userHome}"]
    const { specs } = loaded(await parse({ mcpServers: { a: { command: "node", args } } }))
    const { settings } = specs[0]!
    assert(settings.kind === "stdio")
    const home = environment.HOME
    assert.deepStrictEqual(settings.args.map(BackendSpec.reveal), [
      "x y",
      "",
      "e",
      `${home}/x`,
      "${HOME}",
      "$HOME",
      home
    ])
    // only what came from the environment is redacted: the others would be taken out of what the child writes
    assert.deepStrictEqual(settings.args.map(Redacted.isRedacted), [false, false, false, true, false, false, true])
  })

  it("a variable of a header or of the child that is not set is left out, where a host leaves it out", async () => {
    assert.deepStrictEqual(await one({ url, env_http_headers: { "X-A": "TOKEN", "X-B": "NOPE" } }), {
      id: "a",
      url,
      headers: { "X-A": environment.TOKEN }
    })
    assert.deepStrictEqual(await one({ command: "x", env_vars: ["TOKEN", "NOPE"] }), {
      id: "a",
      run: "x",
      env: { TOKEN: environment.TOKEN }
    })
  })

  it("a server that is off may lack its variables: that is a warning", async () => {
    const { specs, warnings } = loaded(
      await parse({ mcpServers: { a: { url, headers: { A: "${NOPE}" }, disabled: true } } })
    )
    assert.deepStrictEqual(
      specs.map(({ enabled }) => enabled),
      [false]
    )
    assert.deepStrictEqual(warnings, [
      {
        path: ["mcpServers", "a", "headers", "A"],
        expected: "the variable NOPE to be set in the environment",
        line: 6,
        column: 9
      }
    ])
  })

  it("a key that nobody knows is a warning, those of other hosts are none", async () => {
    const { warnings } = loaded(
      await parse({ mcpServers: { a: { url, autoApprove: [], trust: true, zzz: 1 } }, inputs: [], qqq: 2 })
    )
    assert.deepStrictEqual(
      warnings.map(({ path }) => path.join(".")),
      ["mcpServers.a.zzz", "qqq"]
    )
  })

  it("a text does not read other files, and says so", async () => {
    const { warnings } = loaded(await parse({ mcpServers: { a: { command: "x", envFile: "/etc/passwd" } } }))
    assert.deepStrictEqual(
      warnings.map(({ path }) => path.at(-1)),
      ["envFile"]
    )
  })

  it("keepalive of a server is laid over the one of the file, and its two keys over both", async () => {
    const { specs } = loaded(
      await parse({
        keepalive: { interval: "60 seconds", probe: "ping", circuit: { failures: 2, openFor: "10 seconds" } },
        mcpServers: {
          a: { url },
          b: { url, keepalive: { circuit: { failures: 3 } }, keepalive_interval: 5, keepalive_method: "none" }
        }
      })
    )
    assert.deepStrictEqual(
      specs.map(({ policy }) => policy),
      [
        { interval: Duration.seconds(60), probe: "ping", circuit: { failures: 2, openFor: Duration.seconds(10) } },
        { interval: Duration.seconds(5), probe: "none", circuit: { failures: 3, openFor: Duration.seconds(10) } }
      ]
    )
  })

  it("YAML, with the same words", async () => {
    const text = `mcpServers:\n  a:\n    url: ${url}\n    keepalive_interval: 30\n`
    assert.deepStrictEqual(loaded(await parse(text, { file: "mcp.yml" })).specs.map(plain), [
      { id: "a", url, headers: {}, interval: "30s" }
    ])
  })
})
