/** The program `vmcp-keepalive` as `npx` installs it: packed, with nothing beside it. */
import { rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { assert, describe, inject, it, onTestFinished } from "vitest"
import { run } from "./support.ts"

const { program: folder } = inject("folders")
const bin = join(folder, "node_modules/.bin/vmcp-keepalive")

const vmcp = (...args: ReadonlyArray<string>) => run(process.execPath, [bin, ...args], folder)

describe("the installed program", () => {
  it("shows its commands", async () => {
    const { code, stdout } = await vmcp("--help")
    assert.strictEqual(code, 0)
    for (const command of ["serve", "check", "schema", "import", "status"])
      assert.match(stdout, new RegExp(`^  ${command} `, "m"))
  })

  it("checks a file, prints its schema", async () => {
    const config = { mcpServers: { web: { url: "http://127.0.0.1:9/mcp" }, child: { command: process.execPath } } }
    await writeFile(join(folder, "mcp.json"), JSON.stringify(config))
    const checked = await vmcp("check", "--config", "mcp.json")
    assert.deepStrictEqual(checked, { code: 0, stdout: "mcp.json: 2 servers\n", stderr: "" })
    const schema = await vmcp("schema")
    assert.property(JSON.parse(schema.stdout), "$schema")
  })

  it.each(["http", "stdio"])(
    "says which package to install where that for %s is missing, before it starts",
    async (kind) => {
      const server = kind === "http" ? { url: "http://127.0.0.1:9/mcp" } : { command: process.execPath }
      await writeFile(join(folder, "one.json"), JSON.stringify({ mcpServers: { one: server } }))
      const path = join(folder, `node_modules/@vmcp-keepalive/transport-${kind}`)
      await rename(path, `${path}-away`)
      onTestFinished(() => rename(`${path}-away`, path))
      const ended = await vmcp("serve", "--config", "one.json", "--port", "0", "--state", join(folder, "state"))
      assert.deepStrictEqual(ended, {
        code: 1,
        stdout: "",
        stderr: `servers of the type ${kind} need a package that is not installed: npm install @vmcp-keepalive/transport-${kind}\n`
      })
    }
  )

  it("says which packages to install where a cluster is asked for, before it starts: nobody else has them", async () => {
    await writeFile(
      join(folder, "one.json"),
      JSON.stringify({ mcpServers: { one: { url: "http://127.0.0.1:9/mcp" } } })
    )
    const flags = ["--cluster", "postgres://nobody@127.0.0.1:9/none", "--address", "10.0.0.7:7777"]
    const ended = await vmcp("serve", "--config", "one.json", "--port", "0", "--state", join(folder, "state"), ...flags)
    assert.deepStrictEqual(ended, {
      code: 1,
      stdout: "",
      stderr: "a cluster needs packages that are not installed: npm install @vmcp-keepalive/cluster @effect/sql-pg\n"
    })
  })
})
