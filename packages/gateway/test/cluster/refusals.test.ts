/** What keeps a gateway from joining a cluster is one line, before anything is started. */
import { Effect, Exit, Scope } from "effect"
import { Certificate } from "@vmcp-keepalive/testkit"
import { createServer } from "node:net"
import { join } from "node:path"
import { assert, describe, it, onTestFinished, vi } from "vitest"
import { folderWith, run, start } from "../cli/program.ts"
import * as Storage from "./storage.ts"

const nobody = { mcpServers: { web: { url: "http://127.0.0.1:9/mcp" } } }

const refused = async (
  flags: Readonly<Record<string, string>>,
  expected: RegExp,
  env: Readonly<Record<string, string>> = {}
) => {
  const folder = await folderWith({ "mcp.json": nobody })
  const own = { "--config": join(folder, "mcp.json"), "--state": join(folder, "state"), "--port": "0", ...flags }
  const args = Object.entries(own).map(([flag, value]) => (value === "" ? flag : `${flag}=${value}`))
  const { code, stderr, stdout } = await run(["serve", ...args], { env })
  assert.deepStrictEqual([code, stdout], [1, ""], stderr)
  assert.match(stderr, expected)
  assert.lengthOf(stderr.trimEnd().split("\n"), 1)
  assert.notInclude(stderr, Storage.password)
}

const url = `postgres://postgres:${Storage.password}@127.0.0.1:9/postgres`
const own = { "--cluster": url, "--address": "127.0.0.1:7777", "--allow-loopback": "" }

describe("a gateway that cannot join a cluster says why with one line", () => {
  it("a loopback address", async () => {
    await refused(
      { "--cluster": url, "--address": "127.0.0.1:7777" },
      /^--address takes an address at which other machines reach this process/
    )
  })

  it("no address", async () => {
    await refused({ "--cluster": url }, /^a gateway of a cluster needs --address HOST:PORT/)
  })

  it("an address without a port", async () => {
    await refused({ ...own, "--address": "10.0.0.7" }, /^--address takes host:port/)
  })

  it("an address that this machine does not have", async () => {
    await refused({ ...own, "--address": "192.0.2.1:7777" }, /^192\.0\.2\.1 is no address of this machine: .*--address/)
  })

  it.each([
    ["1 second", /^--lease takes a duration from 3 seconds to 10 minutes/],
    ["15", /^--lease takes a duration with its unit/]
  ])("a lease of %s", async (lease, expected) => {
    await refused({ ...own, "--lease": lease }, expected)
  })

  it("a port in use", async () => {
    const server = createServer()
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
    onTestFinished(() => void server.close())
    const address = server.address()
    if (address === null || typeof address === "string") throw new Error("it listens on no port")
    await refused(
      { ...own, "--address": `127.0.0.1:${address.port}` },
      new RegExp(`^127\\.0\\.0\\.1:${address.port} is in use: choose another port with --address\\n`)
    )
  })

  it("a database that is not there", async () => {
    await refused(own, /^the database of the cluster cannot be used: nothing answers as one there \(ECONNREFUSED\)/)
  })

  it("the same where its URL is in the environment", async () => {
    const { "--cluster": _, ...others } = own
    await refused(others, /^the database of the cluster cannot be used: /, { VMCP_CLUSTER_URL: url })
  })

  it.each(["", `mysql://root:${Storage.password}@127.0.0.1/app`])("a URL of no Postgres: %s", async (text) => {
    const { "--cluster": _, ...others } = own
    await refused(others, /^VMCP_CLUSTER_URL takes the URL of a Postgres database/, { VMCP_CLUSTER_URL: text })
  })

  it("certificates that are not there", async () => {
    const folder = await folderWith({ "tls.crt": "" })
    await refused(
      { ...own, "--cluster-tls": folder },
      /^--cluster-tls takes a folder with ca\.crt, which cannot be read there\n/
    )
  })

  it("certificates of which one is none", async () => {
    const { cert, key } = await Effect.runPromise(Certificate.make())
    const folder = await folderWith({ "ca.crt": "", "tls.crt": cert, "tls.key": key })
    await refused({ ...own, "--cluster-tls": folder }, /^--cluster-tls: ca\.crt takes certificates in PEM\n/)
  })

  it("a name for certificates that are not there", async () => {
    await refused({ ...own, "--cluster-tls-name": "gateways" }, /^--cluster-tls-name is for certificates: /)
  })

  it.each(["", Storage.password])("a key for the sessions of servers that is none: %s", async (key) => {
    await refused(own, /^VMCP_CLUSTER_LEDGER_KEY takes a key of 32 bytes in Base64/, { VMCP_CLUSTER_LEDGER_KEY: key })
  })

  it.each([
    ["--lease", "15 seconds"],
    ["--cluster-declare-dead", "refused"],
    ["--cluster-origin-starts", "8"]
  ])("%s without a cluster", async (flag, value) => {
    await refused({ [flag]: value }, new RegExp(`^${flag} is for gateways of a cluster: give --cluster`))
  })

  it.each(["0", "10001"])("%s attempts at a time at an origin", async (count) => {
    await refused(
      { ...own, "--cluster-origin-starts": count },
      /^--cluster-origin-starts takes a whole number from 1 to 10,000\n/
    )
  })

  it("another lease than those have that run", async () => {
    const scope = Scope.makeUnsafe()
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const database = await Effect.runPromise(Scope.provide(Storage.make, scope))
    const folder = await folderWith({ "mcp.json": nobody })
    const taking = async () => ({ "--address": `127.0.0.1:${await Effect.runPromise(Storage.freePort)}` })
    const flags = {
      ...own,
      ...(await taking()),
      "--cluster": database,
      "--config": join(folder, "mcp.json"),
      "--port": "0"
    }
    const first = await start([
      "serve",
      ...Object.entries({ ...flags, "--state": join(folder, "state"), "--lease": "4 seconds" }).map(([flag, value]) =>
        value === "" ? flag : `${flag}=${value}`
      )
    ])
    await vi.waitUntil(() => first.output.stdout.includes("/mcp"), { timeout: 20_000 })
    await refused(
      { ...own, ...(await taking()), "--cluster": database, "--lease": "5 seconds" },
      /^--lease has to be 4s, as the other processes with this storage have it, until all of them have ended, and their leases/
    )
  })

  it("a key for session ids that is none, in the database", async () => {
    const scope = Scope.makeUnsafe()
    onTestFinished(() => Effect.runPromise(Scope.close(scope, Exit.void)))
    const database = await Effect.runPromise(Scope.provide(Storage.withKey("too short"), scope))
    const free = await Effect.runPromise(Storage.freePort)
    await refused(
      { ...own, "--cluster": database, "--address": `127.0.0.1:${free}` },
      /^the database of the cluster holds something else in the table vmcp_keepalive_keys/
    )
  })
})
