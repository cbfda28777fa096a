/** The commands about files: `check`, `schema`, `import`, and how the program is asked. */
import { readFileSync } from "node:fs"
import { createRequire } from "node:module"
import { join } from "node:path"
import { assert, describe, it } from "vitest"
import { folderWith, run } from "./program.ts"

const good = {
  mcpServers: {
    web: { url: "http://127.0.0.1:9/mcp" },
    child: { command: process.execPath, args: ["server.js"] },
    off: { command: "gone", enabled: false }
  }
}

describe("check", () => {
  it("says how many servers a file has, and succeeds", async () => {
    const folder = await folderWith({ "mcp.json": good })
    const ended = await run(["check", "--config", "mcp.json"], { cwd: folder })
    assert.deepStrictEqual(ended, { code: 0, stdout: "mcp.json: 3 servers, 1 of them not enabled\n", stderr: "" })
  })

  it("tells every mistake on stderr with file and line, and fails", async () => {
    const folder = await folderWith({
      "mcp.json": `{
  "mcpServers": {
    "web": { "url": "ftp://x" },
    "child": { "command": "node", "keepalive": { "intervall": 3 } }
  }
}`
    })
    const { code, stderr, stdout } = await run(["check", "--config", "mcp.json"], { cwd: folder })
    assert.strictEqual(code, 1)
    assert.strictEqual(stdout, "")
    const lines = stderr.trimEnd().split("\n")
    assert.lengthOf(lines, 2)
    assert.match(lines[0] ?? "", /^mcp\.json:3:\d+ mcpServers\.web\.url: expected an absolute http/)
    assert.match(lines[1] ?? "", /^mcp\.json:4:\d+ mcpServers\.child\.keepalive\.intervall: expected /)
  })

  it("tells what is ignored as warnings, and succeeds", async () => {
    const folder = await folderWith({
      "mcp.json": { mcpServers: { web: { url: "http://127.0.0.1:9/mcp", colour: 1 } } }
    })
    const { code, stderr } = await run(["check", "--config", "mcp.json"], { cwd: folder })
    assert.strictEqual(code, 0)
    assert.match(stderr, /^mcp\.json:1:\d+ mcpServers\.web\.colour: expected .* \(warning: ignored\)\n$/)
  })

  it("finds what only a fleet would refuse: a command that does not exist", async () => {
    const folder = await folderWith({ "mcp.json": { mcpServers: { child: { command: "no-such-command" } } } })
    const { code, stderr } = await run(["check", "--config", "mcp.json"], { cwd: folder })
    assert.strictEqual(code, 1)
    assert.strictEqual(stderr, "mcp.json child.command: expected a command that exists, in PATH\n")
  })

  it("is one JSON object on stdout for machines, with the same exit code", async () => {
    const folder = await folderWith({ "bad.json": { mcpServers: { web: { url: 7 } } }, "good.json": good })
    const bad = await run(["check", "--config", "bad.json", "--json"], { cwd: folder })
    assert.strictEqual(bad.code, 1)
    assert.strictEqual(bad.stderr, "")
    const { mistakes, ok } = JSON.parse(bad.stdout)
    assert.strictEqual(ok, false)
    assert.deepInclude(mistakes[0], { path: ["mcpServers", "web", "url"], line: 1 })
    const fine = await run(["check", "--config", "good.json", "--json"], { cwd: folder })
    assert.deepStrictEqual(JSON.parse(fine.stdout), {
      file: "good.json",
      ok: true,
      servers: 3,
      enabled: 2,
      mistakes: [],
      warnings: []
    })
  })

  it("says of a file that is not there that it is not, and fails", async () => {
    const { code, stderr } = await run(["check", "--config", "/nowhere/mcp.json"])
    assert.deepStrictEqual([code, stderr], [1, "/nowhere/mcp.json: expected a file that exists\n"])
  })

  it("lets no name of a file write control sequences to the terminal", async () => {
    const folder = await folderWith({ "mcp.json": { mcpServers: { "a\u001B[2Jb": { url: "http://127.0.0.1:9/" } } } })
    const { code, stderr } = await run(["check", "--config", "mcp.json"], { cwd: folder })
    assert.strictEqual(code, 1)
    assert.notInclude(stderr, "\u001B")
  })
})

describe("schema", () => {
  it("prints what @vmcp-keepalive/config publishes", async () => {
    const published = readFileSync(createRequire(import.meta.url).resolve("@vmcp-keepalive/config/schema.json"), "utf8")
    const { code, stdout } = await run(["schema"])
    assert.strictEqual(code, 0)
    assert.strictEqual(stdout, published)
  })
})

describe("import", () => {
  const vmcp = `
operational:
  failureHandling:
    healthCheckInterval: 20s
    circuitBreaker: { enabled: true, timeout: 1m30s }
outgoingAuth:
  backends:
    github: { type: header_injection, headerInjection: { headerName: Authorization, headerValueEnv: GH_TOKEN } }
    other: { type: header_injection, headerInjection: { headerName: X-Key, headerValue: "a\${b" } }
aggregation:
  tools: [{ workload: other, filter: [search] }]
backends:
  - { name: github, url: "https://\${GH_HOST}/mcp", transport: streamable-http }
  - { name: other, url: "https://example.com/mcp", transport: streamable-http }
`

  it("prints toolhive's file as ours, in which references stay references", async () => {
    const folder = await folderWith({ "vmcp.yaml": vmcp })
    const { code, stderr, stdout } = await run(["import", "vmcp.yaml"], {
      cwd: folder,
      env: { GH_TOKEN: "a-secret", GH_HOST: "internal.example" }
    })
    assert.deepStrictEqual([code, stderr], [0, ""])
    assert.notInclude(stdout, "a-secret")
    assert.notInclude(stdout, "internal.example")
    assert.deepStrictEqual(JSON.parse(stdout), {
      keepalive: { interval: "20 seconds", failureThreshold: 3, circuit: { failures: 5, openFor: "90 seconds" } },
      mcpServers: {
        github: { type: "http", url: "https://${GH_HOST}/mcp", headers: { Authorization: "${GH_TOKEN}" } },
        other: {
          type: "http",
          url: "https://example.com/mcp",
          headers: { "X-Key": "a$${b" },
          includeTools: ["search"]
        }
      }
    })
  })

  it.each(["vmcp.yaml", "old.json --from=vmcp", "old.json --from=cli"])(
    "prints of %s what check accepts",
    async (args) => {
      const folder = await folderWith({ "vmcp.yaml": vmcp, "old.json": good })
      const { stdout } = await run(["import", ...args.split(" ")], { cwd: folder })
      const written = await folderWith({ "mcp.json": stdout })
      const env = { GH_TOKEN: "x", GH_HOST: "internal.example" }
      const { code, stderr } = await run(["check", "--config", join(written, "mcp.json")], { env })
      assert.deepStrictEqual([code, stderr], [0, ""])
    }
  )

  it("prints what a file says of sessions", async () => {
    const shared = { url: "http://127.0.0.1:9/mcp", session: "shared" }
    const folder = await folderWith({ "old.json": { mcpServers: { shared } } })
    const { stdout } = await run(["import", "old.json", "--from=vmcp"], { cwd: folder })
    assert.strictEqual(JSON.parse(stdout).mcpServers.shared.session, "shared")
  })

  it("tells the mistakes of a file by line, prints nothing, and fails", async () => {
    const folder = await folderWith({ "vmcp.yaml": "backends:\n  - { name: a, url: 'ftp://x' }\n" })
    const { code, stderr, stdout } = await run(["import", "vmcp.yaml"], { cwd: folder })
    assert.deepStrictEqual([code, stdout], [1, ""])
    assert.match(stderr, /^vmcp\.yaml:2:\d+ backends\.0\.url: expected /)
  })
})

describe("the program", () => {
  it("says its version, which is the package's", async () => {
    const { version } = createRequire(import.meta.url)("../../package.json")
    const { code, stdout } = await run(["--version"])
    assert.deepStrictEqual([code, stdout], [0, `vmcp-keepalive v${version}\n`])
  })

  it.each(["check", "import"])("shows an example of %s in its help", async (command) => {
    const { code, stdout } = await run([command, "--help"])
    assert.strictEqual(code, 0)
    assert.match(stdout, new RegExp(`EXAMPLES\\s+.*vmcp-keepalive ${command} `))
  })

  it.each([[["bogus"]], [["check"]], [["check", "--config"]], [["check", "--config", "x", "--bogus"]]])(
    "says what is wrong with %j on stderr, and fails",
    async (args) => {
      const { code, stderr, stdout } = await run(args)
      assert.deepStrictEqual([code, stdout], [1, ""])
      assert.match(stderr, /--help shows what there is\n$/)
    }
  )

  it.each(["bash", "zsh", "fish"])("completes commands in %s", async (shell) => {
    const { code, stdout } = await run(["--completions", shell])
    assert.strictEqual(code, 0)
    assert.include(stdout, "import")
  })
})
