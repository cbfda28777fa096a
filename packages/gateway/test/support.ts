/** Hosts of raw messages on a gateway, and the servers behind it. */
import { NodeServices } from "@effect/platform-node"
import { Fleet, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { Message, type Peer } from "@vmcp-keepalive/sdk-client/peer"
import { HttpPeerTransport } from "@vmcp-keepalive/transport-http/peer"
import { Effect, type Scope } from "effect"
import { Gateway } from "../src/index.ts"

export interface Host {
  /** everything that came, in order */
  readonly received: ReadonlyArray<Message.Message>
  readonly say: (message: unknown, signal?: AbortSignal) => void
  /** Asks, and waits for the answer. */
  readonly ask: (method: string, params?: Message.Params) => Effect.Effect<Message.Answer>
  readonly call: (name: string, args?: object) => Effect.Effect<Message.Answer>
  /** Waits for the first message that fits, also one that came before. */
  readonly until: <M extends Message.Message>(fits: (message: Message.Message) => message is M) => Effect.Effect<M>
  readonly untilMethod: (method: string, times?: number) => Effect.Effect<Message.Request | Message.Notification>
}

export const hello: Message.Params = {
  protocolVersion: "2025-11-25",
  capabilities: { sampling: {}, elicitation: { form: {} }, roots: { listChanged: true } },
  clientInfo: { name: "a host", version: "1" }
}

/** Short, so that nothing has to be waited for. */
export const policy = {
  // servers of a test die twice within seconds, which is no flapping
  replayBudget: "none",
  interval: "1 second",
  timeout: "400 millis",
  confirmInterval: "200 millis",
  connectTimeout: "3 seconds",
  backoff: { initial: "50 millis", factor: 2, cap: "200 millis" },
  waitForSession: "8 seconds",
  stableAfter: "200 millis",
  circuit: { failures: 8, openFor: "1 second" }
} as const satisfies KeepalivePolicy.Options

/** A host that has not said anything yet. */
export const quiet = (
  gateway: Gateway.Shape,
  options?: Gateway.ConnectionOptions
): Effect.Effect<Host, never, Scope.Scope> =>
  Effect.gen(function* () {
    const received: Array<Message.Message> = []
    const looking = new Set<() => void>()
    const { take } = yield* gateway.open((message) => {
      received.push(message)
      for (const look of [...looking]) look()
    }, options)
    const until: Host["until"] = (fits) =>
      Effect.callback((resume) => {
        const look = () => {
          const found = received.find(fits)
          if (found === undefined) return
          looking.delete(look)
          resume(Effect.succeed(found))
        }
        looking.add(look)
        look()
        return Effect.sync(() => looking.delete(look))
      })
    let ids = 0
    const ask: Host["ask"] = (method, params) =>
      Effect.suspend(() => {
        const id = `host-${ids++}`
        take({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) })
        return until((message): message is Message.Answer => Message.isAnswer(message) && message.id === id)
      })
    return {
      received,
      say: (message, signal) => take(message, { signal }),
      ask,
      call: (name, args = {}) => ask("tools/call", { name, arguments: args }),
      until,
      untilMethod: (method, times = 1) => {
        const all = () => received.filter((message) => "method" in message && message.method === method)
        return until(
          (message): message is Message.Request | Message.Notification =>
            "method" in message && all()[times - 1] === message
        )
      }
    }
  })

/** A host that has initialized. */
export const initialized = (
  gateway: Gateway.Shape,
  params: Message.Params = hello,
  options?: Gateway.ConnectionOptions
) =>
  Effect.tap(quiet(gateway, options), (host) =>
    Effect.andThen(host.ask("initialize", params), () =>
      Effect.sync(() => host.say({ jsonrpc: "2.0", method: "notifications/initialized" }))
    )
  )

/** A fleet to which members are added by code. */
export const fleetOf = Effect.provide(Fleet.make<Peer.Peer>(), HttpPeerTransport.layer())

/** A gateway, with the files of this machine. */
export const gatewayOf = (options: Gateway.Options) => Effect.provide(Gateway.make(options), NodeServices.layer)

export const namesIn = (answer: Message.Answer, list: string, field = "name"): ReadonlyArray<unknown> => {
  const listed = resultOf(answer)[list]
  if (!Array.isArray(listed)) throw new Error(`no ${list}`)
  return listed.map((entry) => entry[field])
}

export const resultOf = (answer: Message.Answer): Message.Result => {
  if ("result" in answer) return answer.result
  throw new Error(`an error: ${answer.error.code} ${answer.error.message}`)
}

export const errorOf = (answer: Message.Answer): Message.ErrorAnswer["error"] => {
  if ("error" in answer) return answer.error
  throw new Error(`a result: ${JSON.stringify(answer.result)}`)
}

/** The text of a tool's result. */
export const textOf = (answer: Message.Answer): string => {
  const content = resultOf(answer)["content"]
  if (!Array.isArray(content)) throw new Error("no content")
  return String(content[0]?.text)
}
