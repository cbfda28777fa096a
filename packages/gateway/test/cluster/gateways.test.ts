/** Hosts of two gateways that share their backends, each a process of its own, while one of them dies. */
import { assert, describe, it } from "@effect/vitest"
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { ToolListChangedNotificationSchema } from "@modelcontextprotocol/sdk/types.js"
import { Certificate, ScriptedServer } from "@vmcp-keepalive/testkit"
import { Effect, Schedule, type Scope } from "effect"
import { randomBytes } from "node:crypto"
import { readFile, rename, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { folderWith, type Running, start } from "../cli/program.ts"
import type { Status } from "../../src/internal/page/wire.ts"
import * as Balancer from "./balancer.ts"
import * as Storage from "./storage.ts"

/** Looks until it holds; that it ever does is what the bound of the test is for. */
const until = <A>(look: Effect.Effect<A>, holds: (found: A) => boolean): Effect.Effect<A> =>
  Effect.repeat(look, { until: holds, schedule: Schedule.spaced("50 millis") })

interface Served {
  readonly running: Running
  readonly port: number
  readonly address: string
  readonly status: Effect.Effect<Status>
  readonly token: Effect.Effect<string>
}

const operatorToken = "operator-token-of-this-test"

/** What a gateway is given beside its address. */
interface Given {
  readonly lease?: string
  readonly flags: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}

const plain: Given = { flags: [], env: {} }

/** Certificates of one authority, and a key for the sessions of servers. */
const secured = Effect.gen(function* () {
  const authority = yield* Certificate.make()
  const { cert, key } = yield* Certificate.make({ issuer: authority, names: ["gateways"], addresses: [] })
  const folder = yield* Effect.promise(() => folderWith({ "ca.crt": authority.cert, "tls.crt": cert, "tls.key": key }))
  const given: Given = {
    flags: ["--cluster-tls", folder, "--cluster-tls-name", "gateways"],
    env: { VMCP_CLUSTER_LEDGER_KEY: randomBytes(32).toString("base64") }
  }
  return given
})

/** A gateway that has told its addresses. */
const serve = (config: string, database: string, given: Given): Effect.Effect<Served> =>
  Effect.gen(function* () {
    const address = `127.0.0.1:${yield* Storage.freePort}`
    const folder = yield* Effect.promise(() => folderWith({}))
    const lease = given.lease ?? "4 seconds"
    const flags = ["--config", config, "--state", folder, "--port", "0", "--json", "--lease", lease]
    const running = yield* Effect.promise(() =>
      start(["serve", ...flags, ...given.flags, "--address", address, "--allow-loopback"], {
        env: { ...given.env, VMCP_CLUSTER_URL: database, VMCP_OPERATOR_TOKEN: operatorToken }
      })
    )
    const ended = Effect.flatMap(
      Effect.promise(() => running.ended),
      () => Effect.die(new Error(running.output.stderr))
    )
    yield* Effect.raceFirst(
      until(
        Effect.sync(() => running.output.stdout),
        (told) => told.endsWith("\n")
      ),
      ended
    )
    const { page }: { readonly page: string } = JSON.parse(running.output.stdout)
    return {
      running,
      address,
      port: Number(new URL(page).port),
      status: Effect.promise(async () => (await fetch(new URL("/api/status", page))).json()),
      token: Effect.promise(() => readFile(join(folder, "operator-token"), "utf8"))
    }
  })

const start2 = Effect.fn(function* (given: Given) {
  const shared = yield* ScriptedServer.make()
  const own = yield* ScriptedServer.make()
  const servers = {
    shared: { url: shared.url, session: "shared", keepalive: { interval: "5 seconds" } },
    own: { url: own.url, session: "per-client" }
  }
  const folder = yield* Effect.promise(() => folderWith({ "mcp.json": { mcpServers: servers } }))
  const config = join(folder, "mcp.json")
  const { signal, url: database } = yield* Storage.freezable
  const gateways = yield* Effect.all([serve(config, database, given), serve(config, database, given)], {
    concurrency: "unbounded"
  })
  const isKept = ({ backends }: Status) => backends.every(({ owner, state }) => owner !== null && state === "Connected")
  yield* Effect.forEach(gateways, ({ status }) => until(status, isKept))
  const edit = (more: object) =>
    Effect.promise(async () => {
      await writeFile(`${config}.new`, JSON.stringify({ mcpServers: { ...servers, ...more } }))
      await rename(`${config}.new`, config)
    })
  return { shared, own, gateways, edit, signal }
})

/** A host that is connected to what stands in front of them. */
const connected = (
  url: string
): Effect.Effect<{ readonly client: Client; readonly session: () => string | undefined }, never, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.promise(async () => {
      const transport = new StreamableHTTPClientTransport(new URL(url))
      const client = new Client({ name: "host", version: "1" })
      await client.connect(transport as Transport)
      return { client, session: () => transport.sessionId }
    }),
    ({ client }) => Effect.promise(() => client.close())
  )

/** The messages that a server has executed `echo` with, in their order. */
const echoed = (server: ScriptedServer.ScriptedServer) =>
  Effect.map(server.executions, (all) =>
    all.flatMap(({ arguments: args, tool }) =>
      tool === "echo" && typeof args === "object" && args !== null && "message" in args ? [String(args.message)] : []
    )
  )

/** Whether a tool of the backend of which each host has a session of its own is refused. */
const isRefused = ({ client }: { readonly client: Client }) =>
  Effect.promise(
    async () => (await client.callTool({ name: "own__echo", arguments: { message: "x" } })).isError === true
  )

/** The status with which an order to that backend is answered. */
const order = ({ port }: Served, command: string) =>
  Effect.promise(async () => {
    const headers = { authorization: `Bearer ${operatorToken}` }
    const url = `http://127.0.0.1:${port}/api/backends/own/${command}`
    return (await fetch(url, { method: "POST", headers })).status
  })

describe("two gateways of a cluster", () => {
  it.live(
    "serve a host's session both, over mutual TLS, and the one that is left goes on with it: the same id, and no tool twice",
    () =>
      Effect.gen(function* () {
        const { edit, gateways, own, shared } = yield* start2(yield* secured)
        const [one, two] = gateways
        const balancer = yield* Balancer.make([one.port, two.port])
        const { client, session } = yield* connected(balancer.url)
        const id = session()
        assert.isString(id)
        let changed = 0
        client.setNotificationHandler(ToolListChangedNotificationSchema, () => {
          changed++
        })
        const listed = Effect.promise(async () => (await client.listTools()).tools.map(({ name }) => name))
        const names = yield* until(listed, (found) => found.includes("shared__echo") && found.includes("own__echo"))
        assert.isAbove(names.length, 2)

        let calls = 0
        const answered = new Set<string>()
        const call = (backend: "shared" | "own") =>
          Effect.promise(async () => {
            const message = `${backend} ${calls++}`
            try {
              const params = { name: `${backend}__echo`, arguments: { message } }
              const result = await client.callTool(params, undefined, { timeout: 20_000 })
              if (result.isError !== true) answered.add(message)
              return result.isError !== true
            } catch {
              return false
            }
          })
        for (let turn = 0; turn < 10; turn++)
          for (const backend of ["shared", "own"] as const) assert.isTrue(yield* call(backend), `${backend} ${turn}`)
        // both have answered
        assert.isAbove(balancer.answered.get(one.port) ?? 0, 5)
        assert.isAbove(balancer.answered.get(two.port) ?? 0, 5)

        // the one that keeps what is shared dies, with calls under way
        const { backends } = yield* one.status
        const owner = backends.find((row) => row.id === "shared")?.owner
        const [dying, left] = owner === one.address ? [one, two] : [two, one]
        const under = yield* Effect.all(
          [
            ...Array.from({ length: 10 }, (_, turn) => call(turn % 2 === 0 ? "shared" : "own")),
            Effect.as(
              Effect.sync(() => dying.running.child.kill("SIGKILL")),
              true
            )
          ],
          { concurrency: "unbounded" }
        )
        assert.lengthOf(under, 11)
        for (const backend of ["shared", "own"] as const) yield* until(call(backend), (isWell) => isWell)
        for (let turn = 0; turn < 5; turn++)
          for (const backend of ["shared", "own"] as const) assert.isTrue(yield* call(backend), `${backend} ${turn}`)
        assert.strictEqual(session(), id)

        const executed = [...(yield* echoed(shared)), ...(yield* echoed(own))]
        assert.deepStrictEqual(executed.toSorted(), [...new Set(executed)].toSorted(), "no tool twice")
        for (const message of answered) assert.include(executed, message)

        // and it tells the host what changes from now on
        const before = changed
        yield* edit({ more: { url: own.url } })
        yield* until(
          Effect.sync(() => changed),
          (now) => now > before
        )
        yield* until(listed, (found) => found.includes("more__echo"))
        const after = yield* until(left.status, ({ cluster }) => cluster?.processes.length === 1)
        assert.deepStrictEqual(
          after.cluster?.processes.map(({ address, here }) => [address, here]),
          [[left.address, true]]
        )
        for (const { id, owner } of after.backends) assert.strictEqual(owner, left.address, id)
      }),
    120_000
  )

  it.live(
    "are shown by each of them, and obey an operator who asks either: hosts' own sessions too",
    () =>
      Effect.gen(function* () {
        const { gateways } = yield* start2(plain)
        const [one, two] = gateways
        const addresses = [one.address, two.address].toSorted()
        for (const { address, status } of gateways) {
          const { backends, cluster } = yield* until(status, (told) => told.cluster?.processes.length === 2)
          assert.deepStrictEqual(
            cluster?.processes.map((each) => each.address),
            addresses
          )
          assert.deepStrictEqual(
            cluster?.processes.flatMap((each) => (each.here ? [each.address] : [])),
            [address]
          )
          for (const { owner } of backends) assert.include(addresses, owner)
          assert.isAtMost(cluster?.margin ?? 0, 4000)
        }
        const hosts = yield* Effect.forEach(gateways, ({ port }) => connected(`http://127.0.0.1:${port}/mcp`))
        for (const host of hosts) yield* until(isRefused(host), (refused) => !refused)
        assert.strictEqual(yield* order(one, "isolate"), 200)
        for (const host of hosts) yield* until(isRefused(host), (refused) => refused)
        for (const { status } of gateways)
          yield* until(status, ({ backends }) => backends.find(({ id }) => id === "own")?.state === "Isolated")
        assert.strictEqual(yield* order(two, "reset"), 200)
        for (const host of hosts) yield* until(isRefused(host), (refused) => !refused)
        // in order, and within the time that a platform gives: what one keeps is the other's then
        one.running.child.kill("SIGTERM")
        assert.strictEqual(yield* Effect.promise(() => one.running.ended), 0)
        yield* until(two.status, ({ backends }) =>
          backends.every(({ owner, state }) => owner === two.address && state === "Connected")
        )
      }),
    120_000
  )

  it.live(
    "replace one that was killed before its lease has ended, where they are told so",
    () =>
      Effect.gen(function* () {
        const given = { ...plain, lease: "1 minute", flags: ["--cluster-declare-dead", "refused"] }
        const { gateways } = yield* start2(given)
        const [one, two] = gateways
        const { backends } = yield* one.status
        const [dying, left] = backends[0]?.owner === one.address ? [one, two] : [two, one]
        dying.running.child.kill("SIGKILL")
        const isTaken = ({ backends }: Status) =>
          backends.every(({ owner, state }) => owner === left.address && state === "Connected")
        yield* Effect.timeout(until(left.status, isTaken), "30 seconds")
      }),
    120_000
  )

  it.live(
    "isolate nothing while their database does not answer, and say so: neither the backend nor the sessions of hosts",
    () =>
      Effect.gen(function* () {
        const { gateways, signal } = yield* start2({ ...plain, lease: "20 seconds" })
        const [one] = gateways
        const host = yield* connected(`http://127.0.0.1:${one.port}/mcp`)
        yield* until(isRefused(host), (refused) => !refused)
        yield* signal("SIGSTOP")
        assert.strictEqual(yield* order(one, "isolate"), 503)
        assert.isFalse(yield* isRefused(host))
        yield* signal("SIGCONT")
        assert.strictEqual(yield* order(one, "isolate"), 200)
        yield* until(isRefused(host), (refused) => refused)
        yield* signal("SIGSTOP")
        assert.strictEqual(yield* order(one, "reset"), 503)
        assert.isTrue(yield* isRefused(host))
        yield* signal("SIGCONT")
        assert.strictEqual(yield* order(one, "reset"), 200)
        yield* until(isRefused(host), (refused) => !refused)
      }),
    120_000
  )
})
