/** One process of a cluster. It does what the test that started it asks over IPC, and ends with it, or in order at SIGTERM. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as PgClient from "@effect/sql-pg/PgClient"
import type { Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Cause, Duration, Effect, Exit, Layer, Option, References, Redacted, Stream } from "effect"
import { ClusterBackends } from "../../src/index.ts"
import type { Asked, Configuration, Question } from "../support/protocol.ts"

const { address, backends, lease, options, storage }: Configuration = JSON.parse(process.argv[2] ?? "{}")

const specs = (listed: Configuration["backends"]): ReadonlyArray<Fleet.Spec> =>
  Object.entries(listed).map(([id, url]) => ({
    id,
    settings: {
      kind: "http",
      url: Redacted.make(url),
      headers: { "x-replica": Redacted.make(address) }
    } satisfies HttpPeerTransport.HttpSettings,
    policy: {
      probe: "ping",
      interval: "1 second",
      timeout: "500 millis",
      confirmInterval: "200 millis",
      backoff: { initial: "100 millis", factor: 2, cap: "1 second" }
    }
  }))

const answerTo = (question: Question, events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) =>
  Effect.gen(function* () {
    const cluster = yield* ClusterBackends.ClusterBackends
    switch (question.ask) {
      case "states":
        return [...(yield* cluster.states)].map(([id, { owner, state }]) => [id, owner ?? null, state?._tag ?? null])
      case "command":
        return Option.getOrUndefined(yield* cluster.command(question.id, question.command))?._tag
      case "apply":
        return (yield* cluster.apply(specs(question.backends))).map(({ _tag, id }) => `${_tag} ${id}`)
      case "events":
        return events.map(({ _tag, backend }) => `${backend} ${_tag}`)
      case "call": {
        const { id, idempotent, ms, tag } = question
        const backend = Option.getOrThrow(yield* cluster.get(id))
        const params = { name: "work", arguments: { tag, ms } }
        return yield* backend.use((peer, signal) => peer.request({ method: "tools/call", params }, { signal }), {
          idempotent
        })
      }
    }
  })

const tagOf = (error: unknown) =>
  typeof error === "object" && error !== null && "_tag" in error ? String(error._tag) : String(error)

const serve = Layer.effectDiscard(
  Effect.gen(function* () {
    const { events } = yield* ClusterBackends.ClusterBackends
    const heard: Array<KeepaliveEvent.KeepaliveEvent> = []
    yield* Effect.forkScoped(Stream.runForEach(events, (event) => Effect.sync(() => void heard.push(event))))
    const run = Effect.runForkWith(yield* Effect.context<ClusterBackends.ClusterBackends>())
    process.on("message", ({ n, question }: Asked) =>
      run(answerTo(question, heard)).addObserver((exit) =>
        process.send?.(
          Exit.isSuccess(exit)
            ? { n, ok: exit.value ?? null }
            : { n, error: tagOf(Option.getOrElse(Cause.findErrorOption(exit.cause), () => Cause.squash(exit.cause))) }
        )
      )
    )
    process.send?.("ready")
  })
)

const cluster = ClusterBackends.layer({
  address,
  ...options,
  tls: options?.tls && { ...options.tls, key: Redacted.make(options.tls.key) },
  allowLoopback: true,
  lease: Duration.millis(lease),
  backends: specs(backends)
}).pipe(
  Layer.provide(HttpPeerTransport.layer()),
  Layer.provide(
    PgClient.layer({
      host: "127.0.0.1",
      port: storage,
      database: "postgres",
      username: "postgres",
      password: Redacted.make("postgres"),
      maxConnections: 4
    })
  )
)

process.on("disconnect", () => process.exit())
serve.pipe(
  Layer.provide(cluster),
  Layer.provide(Layer.succeed(References.MinimumLogLevel, "Fatal")),
  Layer.launch,
  NodeRuntime.runMain
)
