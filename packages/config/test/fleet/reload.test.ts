/** A file that changes while its fleet runs, with real servers over HTTP and real child processes. */
import { NodeServices } from "@effect/platform-node"
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Fleet } from "@vmcp-keepalive/core"
import { KeepaliveMetrics } from "@vmcp-keepalive/otel"
import { Leftovers, ScriptedServer, StdioServers } from "@vmcp-keepalive/testkit"
import { HttpTransport } from "@vmcp-keepalive/transport-http"
import { StdioTransport } from "@vmcp-keepalive/transport-stdio"
import { ConfigProvider, Context, Duration, Effect, Layer, Option, Schedule, type Scope } from "effect"
import { assert, describe, it } from "vitest"
import { file, follow, type Followed, shown, until, ways } from "./support.ts"

const Transports = Layer.mergeAll(HttpTransport.layer(), StdioTransport.layer())

/** Runs it to its end, after which nothing of it is left. */
const play = <E>(program: Effect.Effect<void, E, Scope.Scope | Fleet.Transport<Client>>) =>
  Effect.gen(function* () {
    // the first one opens this process's own terminal, for good
    yield* Effect.provide(Effect.void, NodeServices.layer)
    const leftovers = yield* Leftovers.make()
    yield* Effect.scoped(program)
    yield* leftovers.check
  }).pipe(Effect.provide(Transports), Effect.runPromise)

const entryOf = ({ args, command }: StdioServers.StdioServer) => ({ command, args })

const backendOf = <C>(fleet: Fleet.Fleet<C>, id: string) => Effect.map(fleet.get(id), Option.getOrThrow)

/** The session that a backend has, once it has one. */
const generationOf = <C>({ fleet }: Followed<C>, id: string) =>
  Effect.gen(function* () {
    const backend = yield* backendOf(fleet, id)
    yield* Effect.orDie(backend.awaitConnected)
    const state = yield* backend.state
    return "generation" in state ? state.generation : undefined
  })

const hasSession = <C>(followed: Followed<C>, id: string, generation: number) =>
  until(
    `${id} has session ${generation}`,
    Effect.map(generationOf(followed, id), (found) => found === generation)
  )

const call = ({ fleet }: Followed<Client>, id: string, message: string) =>
  Effect.flatMap(backendOf(fleet, id), (backend) =>
    backend.use((client, signal) => client.callTool({ name: "echo", arguments: { message } }, undefined, { signal }))
  )

/** What became of a backend, as its events say it. */
const reconfigured = ({ events }: Followed<Client>) =>
  events.flatMap((event) =>
    event._tag === "Reconfigured"
      ? [`${event.backend}${event.connection ? " connection" : ""}${event.policy ? " policy" : ""}`]
      : []
  )

const handshakes = (server: ScriptedServer.ScriptedServer) =>
  Effect.map(server.stats, ({ byRpcMethod }) => byRpcMethod["initialize"] ?? 0)

describe.each(ways)("a file that is changed by %s", (way) => {
  it("changes what it names, with one event each, and nothing else", () =>
    play(
      Effect.gen(function* () {
        const [one, two] = yield* Effect.all([ScriptedServer.make(), ScriptedServer.make()])
        const [first, second] = yield* Effect.all([StdioServers.scripted(), StdioServers.scripted()])
        const untouched = { web: { url: one.url }, shell: entryOf(first) }
        const other = { url: two.url, headers: { "x-version": "1" } }
        const local = entryOf(second)
        const { path, write } = yield* file(way, { mcpServers: { ...untouched, other, local } })
        const followed = yield* follow<Client>(path)
        assert.strictEqual(yield* followed.told, "Added web, Added shell, Added other, Added local")
        for (const id of ["web", "shell", "other", "local"]) assert.strictEqual(yield* generationOf(followed, id), 1)
        const begun = followed.changes.length

        // another header: a planned replacement, the new session first
        write({ mcpServers: { ...untouched, other: { ...other, headers: { "x-version": "2" } }, local } })
        assert.strictEqual(yield* followed.told, "Replaced other (connection)")
        yield* hasSession(followed, "other", 2)
        yield* until(
          "the first session of other is closed",
          Effect.map(two.stats, ({ sessions }) => sessions === 1)
        )
        const requests = yield* two.requests
        assert.strictEqual(requests.findLast(({ rpcMethod }) => rpcMethod === "initialize")?.headers["x-version"], "2")

        // another policy: the same child, the same session
        const patient = { ...local, keepalive_interval: 30, keepalive: { failureThreshold: 5 } }
        write({ mcpServers: { ...untouched, other: { ...other, headers: { "x-version": "2" } }, local: patient } })
        assert.strictEqual(yield* followed.told, "Replaced local (policy)")
        yield* call(followed, "local", "still there")
        assert.strictEqual(yield* generationOf(followed, "local"), 1)
        assert.lengthOf(yield* second.pids, 1)
        const policy = yield* Effect.flatMap(backendOf(followed.fleet, "local"), (backend) => backend.policy)
        assert.strictEqual(policy.failureThreshold, 5)

        // one is gone, one is new
        write({ mcpServers: { ...untouched, local: patient, fresh: { url: two.url } } })
        assert.strictEqual(yield* followed.told, "Removed other, Added fresh")
        assert.strictEqual(yield* generationOf(followed, "fresh"), 1)

        for (const id of ["web", "shell"]) {
          assert.strictEqual(yield* generationOf(followed, id), 1)
          yield* call(followed, id, "untouched")
        }
        assert.strictEqual(yield* handshakes(one), 1)
        assert.lengthOf(yield* first.pids, 1)
        // what is removed is told when its session is closed
        assert.sameMembers(
          followed.changes.slice(begun).map((change) => shown([change])),
          ["Replaced other (connection)", "Replaced local (policy)", "Removed other", "Added fresh"]
        )
        assert.deepStrictEqual(reconfigured(followed), ["other connection", "local policy"])
        assert.strictEqual(yield* followed.untold, 0)
      })
    ))
})

describe("a token", () => {
  const rotated = (
    way: "the file" | "the environment",
    entry: (server: ScriptedServer.ScriptedServer, token: string) => object
  ) =>
    play(
      Effect.gen(function* () {
        const variables = { TOKEN: "Bearer first" }
        const [one, other] = yield* Effect.all([
          ScriptedServer.make({ authorization: "Bearer first" }),
          ScriptedServer.make()
        ])
        const content = (token: string) =>
          `// ${way}, ${token.length}\n${JSON.stringify({ mcpServers: { a: entry(one, token), b: { url: other.url } } })}`
        const { path, write } = yield* file("rename", content("Bearer first"))
        const followed = yield* follow<Client>(path).pipe(
          Effect.provideService(
            ConfigProvider.ConfigProvider,
            ConfigProvider.make((asked) =>
              Effect.suspend(() => ConfigProvider.fromEnvRecord({ ...variables }).load(asked))
            )
          )
        )
        yield* followed.told
        assert.strictEqual(yield* generationOf(followed, "a"), 1)
        assert.strictEqual(yield* generationOf(followed, "b"), 1)

        yield* one.control(ScriptedServer.Control.Configure({ behaviour: { authorization: "Bearer the second" } }))
        variables.TOKEN = "Bearer the second"
        write(content("Bearer the second"))
        assert.strictEqual(yield* followed.told, "Replaced a (connection)")
        yield* hasSession(followed, "a", 2)
        yield* call(followed, "a", "with the second token")
        assert.strictEqual(yield* generationOf(followed, "b"), 1)
        assert.strictEqual(yield* handshakes(other), 1)
        assert.deepStrictEqual(reconfigured(followed), ["a connection"])
        const said = JSON.stringify(followed.events) + JSON.stringify(followed.changes)
        assert.notInclude(said, "Bearer")
      })
    )

  it("that was rotated in the file leads to a planned replacement, of that backend alone", () =>
    rotated("the file", ({ url }, authorization) => ({ url, headers: { authorization } })))

  it("that was rotated in the environment holds from when the file is written again", () =>
    rotated("the environment", ({ url }) => ({ url, headers: { authorization: "${TOKEN}" } })))
})

describe("a hundred changes within ten seconds", () => {
  it("end in what the last one says, with one event for each that was taken", { timeout: 60_000 }, () =>
    play(
      Effect.gen(function* () {
        const [one, two] = yield* Effect.all([ScriptedServer.make(), ScriptedServer.make()])
        const child = yield* StdioServers.scripted()
        const content = (version: number) => ({
          mcpServers: {
            untouched: { url: one.url },
            web: { url: two.url, headers: { "x-version": String(version) }, keepalive: { drainTimeout: "1 second" } },
            local: { ...entryOf(child), keepalive_interval: 5 + version }
          }
        })
        const { path, write } = yield* file("rename", content(0))
        const followed = yield* follow<Client>(path)
        assert.strictEqual(yield* followed.told, "Added untouched, Added web, Added local")
        for (const id of ["untouched", "web", "local"]) assert.strictEqual(yield* generationOf(followed, id), 1)

        let version = 0
        yield* Effect.sync(() => write(content(++version))).pipe(
          Effect.repeat(Schedule.spaced("100 millis").pipe(Schedule.upTo({ times: 99 })))
        )
        assert.strictEqual(version, 100)
        const last = Effect.map(
          two.requests,
          (requests) => requests.findLast(({ rpcMethod }) => rpcMethod === "initialize")?.headers["x-version"]
        )
        yield* until(
          "the last version is in use",
          Effect.map(last, (found) => found === "100")
        )
        yield* until(
          "one session is left",
          Effect.map(two.stats, ({ sessions }) => sessions === 1)
        )

        const policy = yield* Effect.flatMap(backendOf(followed.fleet, "local"), (backend) => backend.policy)
        assert.deepStrictEqual(policy.interval, Duration.seconds(105))
        const replaced = (id: string) =>
          followed.changes.filter((change) => change._tag === "Replaced" && change.id === id).length
        const events = reconfigured(followed)
        for (const [id, what] of [
          ["web", "connection"],
          ["local", "policy"]
        ] as const) {
          assert.isAtLeast(replaced(id), 2)
          assert.strictEqual(replaced(id), events.filter((event) => event === `${id} ${what}`).length)
        }
        assert.strictEqual(followed.changes.length, 3 + replaced("web") + replaced("local"))
        assert.strictEqual(yield* generationOf(followed, "untouched"), 1)
        assert.strictEqual(yield* handshakes(one), 1)
        assert.strictEqual(yield* generationOf(followed, "local"), 1)
        assert.lengthOf(yield* child.pids, 1)
      })
    )
  )
})

describe("a file that is wrong for a while", () => {
  it("leaves the fleet as it is: sessions, children and answers", () =>
    play(
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const child = yield* StdioServers.scripted()
        const right = { mcpServers: { web: { url: server.url }, local: entryOf(child) } }
        const { path, write } = yield* file("in place", right)
        const followed = yield* follow<Client>(path)
        yield* followed.told
        for (const id of ["web", "local"]) assert.strictEqual(yield* generationOf(followed, id), 1)
        write(JSON.stringify(right).slice(0, 40))
        assert.match(yield* followed.told, /^refused: .*mcp\.json:1:/)
        write({ mcpServers: { ...right.mcpServers, third: { command: "/no/such/command" } } })
        assert.match(yield* followed.told, /^refused: .*"third"[^]*command/)
        for (const id of ["web", "local"]) {
          yield* call(followed, id, "while the file is wrong")
          assert.strictEqual(yield* generationOf(followed, id), 1)
        }
        write({ mcpServers: { ...right.mcpServers, third: entryOf(child) } })
        assert.strictEqual(yield* followed.told, "Added third")
        assert.strictEqual(yield* handshakes(server), 1)
        assert.lengthOf(reconfigured(followed), 0)
      })
    ))
})

describe("metric series", () => {
  it("go on through a change of policy and of credentials, and counters never go back", () =>
    play(
      Effect.gen(function* () {
        const server = yield* ScriptedServer.make()
        const metrics = yield* Layer.build(KeepaliveMetrics.layerPrometheus({ port: 0 }))
        const { url } = Context.get(metrics, KeepaliveMetrics.PrometheusEndpoint)
        const entry = { url: server.url, headers: { "x-version": "1" } }
        const { path, write } = yield* file("rename", { mcpServers: { a: entry } })
        const followed = yield* Effect.provide(follow<Client>(path), metrics)
        yield* followed.told
        yield* generationOf(followed, "a")
        const probe = Effect.flatMap(backendOf(followed.fleet, "a"), (backend) => backend.probe)
        const series = Effect.promise(async () => {
          const page = await (await fetch(url)).text()
          return new Map(
            page
              .split("\n")
              .filter((line) => /_(total|count|bucket)\{.*backend_id="a"/.test(line))
              .map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ")))] as const)
          )
        })
        const grown = Effect.fnUntraced(function* (before: ReadonlyMap<string, number>) {
          const after = yield* series
          for (const [name, value] of before) assert.isAtLeast(after.get(name) ?? -1, value, name)
          const probes = 'vmcp_keepalive_attempt_total{backend_id="a"}'
          assert.isAbove(after.get(probes) ?? 0, before.get(probes) ?? 0)
          return after
        })
        yield* probe
        yield* call(followed, "a", "one")
        const first = yield* series
        assert.isAbove(first.size, 5)

        write({ mcpServers: { a: { ...entry, keepalive_interval: 30 } } })
        assert.strictEqual(yield* followed.told, "Replaced a (policy)")
        yield* probe
        const second = yield* grown(first)

        write({ mcpServers: { a: { ...entry, headers: { "x-version": "2" }, keepalive_interval: 30 } } })
        assert.strictEqual(yield* followed.told, "Replaced a (connection)")
        yield* hasSession(followed, "a", 2)
        yield* probe
        yield* call(followed, "a", "two")
        yield* grown(second)
        const page = yield* Effect.promise(async () => (await fetch(url)).text())
        assert.match(page, /^vmcp_keepalive_backends 1$/m)
      })
    ))
})
