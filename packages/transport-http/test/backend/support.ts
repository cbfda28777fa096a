/** A backend on a real server behind a fault proxy, with everything it said. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { FaultProxy, type McpServer } from "@vmcp-keepalive/testkit"
import { Backend, type Changes, type ConnectionState, KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { assert } from "@effect/vitest"
import { Effect, Fiber, Stream } from "effect"
import { HttpConnector } from "../../src/index.ts"
import { eventually } from "../connector/support.ts"

/** Short enough that a death is confirmed within 2 s, long enough for a loaded machine. */
export const quick: KeepalivePolicy.Options = {
  interval: "1 second",
  timeout: "500 millis",
  confirmInterval: "250 millis",
  failureThreshold: 2,
  stableAfter: 0,
  backoff: { initial: "100 millis", factor: 2, cap: "2 seconds" },
  circuit: { failures: 3, openFor: "500 millis" }
}

/** As quick to come back, and asks nothing of its own accord. */
export const quiet: KeepalivePolicy.Options = { ...quick, interval: "10 minutes", timeout: "2 seconds" }

export interface Kept {
  readonly backend: Backend.Backend<Client>
  readonly proxy: FaultProxy.FaultProxy
  readonly events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>
  /** waits for a state, from now on or the current one; fails after 15 s */
  readonly until: (
    predicate: (state: ConnectionState.ConnectionState) => boolean
  ) => Effect.Effect<ConnectionState.ConnectionState>
  readonly call: (call: McpServer.Call, options?: Backend.UseOptions) => ReturnType<typeof callOf>
}

const callOf = (backend: Backend.Backend<Client>, call: McpServer.Call, options?: Backend.UseOptions) =>
  backend.use((client, signal) => client.callTool(call, undefined, { signal }), options)

/** Keeps a server alive through a proxy; connected when it returns, unless told otherwise. */
export const keep = Effect.fnUntraced(function* (
  server: Pick<McpServer.McpServer, "port" | "name">,
  options: {
    readonly policy?: KeepalivePolicy.Options
    readonly headers?: HttpConnector.Options["headers"]
    readonly await?: boolean
    readonly before?: (proxy: FaultProxy.FaultProxy) => Effect.Effect<unknown>
  } = {}
) {
  const proxy = yield* FaultProxy.make({ target: { port: server.port } })
  if (options.before) yield* options.before(proxy)
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const backend = yield* Backend.make({
    id: server.name,
    connector: HttpConnector.make({
      url: `${proxy.url}/mcp`,
      ...(options.headers === undefined ? {} : { headers: options.headers })
    }),
    policy: { ...quick, ...options.policy }
  }).pipe(Effect.provide(KeepaliveEvent.layerObserver((event) => events.push(event))))
  /** What never ends says what went before it, which a test that has run out of time would not. */
  const settling = <A, E>(what: string, effect: Effect.Effect<A, E>): Effect.Effect<A, E> =>
    Effect.timeoutOrElse(effect, {
      duration: "40 seconds",
      orElse: () =>
        Effect.flatMap(proxy.requests, (requests) => {
          const sent = requests
            .slice(-20)
            .map(({ at, method, rpcMethod }) => `${Math.round(at)} ${rpcMethod ?? method}`)
          return Effect.die(
            new Error(`${what} never settled; ${tags(events).slice(-20).join(", ")}; ${sent.join(", ")}`)
          )
        })
    })
  if (options.await !== false) yield* settling("awaitConnected", Effect.orDie(backend.awaitConnected))
  const kept: Kept = {
    backend,
    proxy,
    events,
    until: (predicate) =>
      backend.changes.pipe(
        Stream.filter(predicate),
        Stream.runHead,
        Effect.flatMap((state) => Effect.orDie(Effect.fromOption(state))),
        Effect.timeout("15 seconds"),
        Effect.orDie
      ),
    call: (call, useOptions) => settling(call.name, callOf(backend, call, useOptions))
  }
  return kept
})

export const is =
  (...tags: ReadonlyArray<ConnectionState.ConnectionState["_tag"]>) =>
  (state: ConnectionState.ConnectionState) =>
    tags.includes(state._tag)

/** Connected on a session that is younger than the given one. */
export const isRenewed =
  (generation = 1) =>
  (state: ConnectionState.ConnectionState) =>
    state._tag === "Connected" && state.generation > generation

/** The state changes among the events, as words. */
export const path = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) =>
  events.flatMap((event) => (event._tag === "StateChanged" ? [event.to._tag] : []))

/** The events of one kind. */
export const only = <Tag extends KeepaliveEvent.KeepaliveEvent["_tag"]>(
  events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>,
  tag: Tag
) => events.filter((event): event is Extract<KeepaliveEvent.KeepaliveEvent, { _tag: Tag }> => event._tag === tag)

export const tags = (events: ReadonlyArray<KeepaliveEvent.KeepaliveEvent>) => events.map((event) => event._tag)

/** The text of a tool's answer. */
export const text = (result: unknown) => JSON.stringify(result)

const wordOf = (change: Changes.Change) => (change._tag === "List" ? change.kind : change.uri)

/** Listens until it is stopped, and notes what it hears; `ready`: once the server tells. */
export const listen = Effect.fnUntraced(function* (
  backend: Backend.Backend<unknown>,
  filter: Changes.Filter = { tools: true, resources: true, uris: ["note://1"] }
) {
  const heard: Array<string> = []
  const fiber = yield* Effect.forkScoped(
    Stream.runForEach(backend.listen(filter, { initially: true }), (change) =>
      Effect.sync(() => void heard.push(wordOf(change)))
    ),
    { startImmediately: true }
  )
  /** waits until so much was heard, and no more; in any order */
  const hears = (...words: ReadonlyArray<string>) =>
    Effect.gen(function* () {
      yield* eventually(() => heard.length >= words.length)
      assert.deepStrictEqual(heard.splice(0).toSorted(), words.toSorted())
    })
  const { uris = [], ...lists } = filter
  return { heard, hears, ready: hears(...Object.keys(lists), ...uris), stop: Fiber.interrupt(fiber) }
})
