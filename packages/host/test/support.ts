/** A host of the tests' own: what it is told, in order, and a way to wait for it. */
import { Message } from "@vmcp-keepalive/sdk-client/peer"
import type { BackendError } from "@vmcp-keepalive/core"
import { Effect, type Scope } from "effect"
import { KeptPeer } from "../src/index.ts"

export interface Host {
  /** everything that came, in order */
  readonly received: ReadonlyArray<Message.Message>
  readonly abouts: ReadonlyArray<KeptPeer.About>
  readonly say: (message: unknown, signal?: AbortSignal) => void
  /** Asks, and waits for the answer. */
  readonly ask: (method: string, params?: Message.Params) => Effect.Effect<Message.Answer>
  /** Waits for the first message that fits, also one that came before. */
  readonly until: <M extends Message.Message>(fits: (message: Message.Message) => message is M) => Effect.Effect<M>
  readonly untilMethod: (method: string, times?: number) => Effect.Effect<Message.Request | Message.Notification>
}

/** One on a connection of its own. */
export interface KeptHost extends Host {
  readonly kept: KeptPeer.KeptPeer
}

export const hello: Message.Params = {
  protocolVersion: "2025-11-25",
  capabilities: { sampling: {}, roots: { listChanged: true } },
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
} as const satisfies KeptPeer.Options["policy"]

/** A host that has not said anything yet. */
export const quiet = <R>(
  options: KeptPeer.Options<R>
): Effect.Effect<KeptHost, BackendError.ConfigurationError, Scope.Scope | R> =>
  Effect.map(
    hosting((deliver) => KeptPeer.make(options, deliver)),
    ([host, kept]) => ({ ...host, kept })
  )

/** A host on what is made for it. */
export const hosting = <Taker extends Pick<KeptPeer.KeptPeer, "take">, E, R>(
  make: (deliver: KeptPeer.Deliver) => Effect.Effect<Taker, E, R>
): Effect.Effect<readonly [Host, Taker], E, R> =>
  Effect.gen(function* () {
    const received: Array<Message.Message> = []
    const abouts: Array<KeptPeer.About> = []
    const looking = new Set<() => void>()
    const kept = yield* make((message, about) => {
      received.push(message)
      abouts.push(about)
      for (const look of [...looking]) look()
    })
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
        kept.take({ jsonrpc: "2.0", id, method, ...(params === undefined ? {} : { params }) })
        return until((message): message is Message.Answer => Message.isAnswer(message) && message.id === id)
      })
    const host: Host = {
      received,
      abouts,
      say: (message, signal) => kept.take(message, { signal }),
      ask,
      until,
      untilMethod: (method, times = 1) => {
        const all = () => received.filter((message) => "method" in message && message.method === method)
        return until(
          (message): message is Message.Request | Message.Notification =>
            "method" in message && all()[times - 1] === message
        )
      }
    }
    return [host, kept] as const
  })

/** What every host says first. */
export const begin = (host: Host, params: Message.Params = hello) =>
  Effect.tap(host.ask("initialize", params), () =>
    Effect.sync(() => host.say({ jsonrpc: "2.0", method: "notifications/initialized" }))
  )

/** A host that has initialized. */
export const initialized = <R>(options: KeptPeer.Options<R>, params: Message.Params = hello) =>
  Effect.tap(quiet(options), (host) => begin(host, params))

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
