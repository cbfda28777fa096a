/** One process of a cluster. It does what the test that started it asks over IPC, and ends with it, or in order at SIGTERM. */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import type { Fleet, KeepaliveEvent } from "@vmcp-keepalive/core"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerTransport } from "@vmcp-keepalive/transport-stdio/peer"
import { Cause, Duration, Effect, Exit, Layer, Option, References, Redacted, Stream } from "effect"
import { ClusterBackends } from "../../src/index.ts"
import type { Asked, Configuration, Question } from "../support/protocol.ts"
import { clientOf } from "../support/client.ts"

const { address, backends, commands, lease, options, storage }: Configuration = JSON.parse(process.argv[2] ?? "{}")

const policy = {
  probe: "ping",
  interval: "1 second",
  timeout: "500 millis",
  confirmInterval: "200 millis",
  backoff: { initial: "100 millis", factor: 2, cap: "1 second" }
} satisfies Fleet.Spec["policy"]

const specs = (listed: Configuration["backends"]): ReadonlyArray<Fleet.Spec> => [
  ...Object.entries(listed).map(([id, url]) => ({
    id,
    settings: {
      kind: "http",
      url: Redacted.make(url),
      headers: { "x-replica": Redacted.make(address) }
    } satisfies HttpPeerTransport.HttpSettings,
    policy
  })),
  ...Object.entries(commands).map(([id, [command, ...args]]) => ({
    id,
    settings: { kind: "stdio", command, args } satisfies StdioPeerTransport.StdioSettings,
    policy
  }))
]

const answerTo = (question: Question, events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) =>
  Effect.gen(function* () {
    const cluster = yield* ClusterBackends.ClusterBackends
    switch (question.ask) {
      case "states":
        return [...(yield* cluster.states)].map(([id, { owner, state }]) => [id, owner ?? null, state?._tag ?? null])
      case "processes":
        return (yield* cluster.processes).map(({ left, ...process }) => ({
          ...process,
          left: left === undefined ? null : Duration.toMillis(left)
        }))
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
  sessionLedger: options?.sessionLedger === undefined ? undefined : { key: Redacted.make(options.sessionLedger) },
  tls: options?.tls && { ...options.tls, key: Redacted.make(options.tls.key) },
  allowLoopback: true,
  lease: Duration.millis(lease),
  backends: specs(backends)
}).pipe(
  Layer.provide(HttpPeerTransport.layer()),
  Layer.provide(StdioPeerTransport.layer({ watchdog: true, shutdown: { end: "1 second", term: "1 second" } })),
  Layer.provide(clientOf(storage, 4))
)

process.on("disconnect", () => process.exit())
serve.pipe(
  Layer.provide(cluster),
  Layer.provide(Layer.succeed(References.MinimumLogLevel, "Fatal")),
  Layer.launch,
  NodeRuntime.runMain
)
