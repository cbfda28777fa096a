/**
 * Hearing of changes on one session, in the way of its era: what `Session.listen` of the port does.
 *
 * In the modern era it is a `subscriptions/listen` of its own. In the legacy one the server tells of its lists unasked, and of a resource
 * that is subscribed to. The client hears what it hears as well, so that nothing that it keeps for later outlives its change.
 */
import { Changes, type Connector } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Ask from "./Ask.ts"
import type { Capabilities } from "./ClientKind.ts"
import * as ListenStream from "./ListenStream.ts"
import * as Message from "./Message.ts"
import * as Reopening from "./Reopening.ts"
import { ofRequest } from "./RequestRecord.ts"

/**
 * What it needs of a session.
 *
 * @since 0.1.0
 */
export interface Port extends ListenStream.Port {
  /** URIs that the client has subscribed to: those of the `SessionHost` */
  readonly subscribed: ReadonlySet<string>
  /** Waits until the server can tell of its own accord, or is known not to: over HTTP its stream is opened. Default: it can. */
  readonly standing?: Effect.Effect<void> | undefined
  /** what the server said in the handshake that it can do */
  readonly capabilities: () => Capabilities | undefined
}

/**
 * Hears of changes until it is interrupted.
 *
 * @since 0.1.0
 */
export const listen = (port: Port, filter: Changes.Filter, hearing: Connector.Hearing): Effect.Effect<never> =>
  Effect.suspend(() =>
    port.transport.requests.era === "modern" ? bySubscription(port, filter, hearing) : unasked(port, filter, hearing)
  )

const kinds = ["tools", "prompts", "resources"] as const

// -------------------------------------------------------------------------------------------------------- modern era

const bySubscription = (port: Port, filter: Changes.Filter, hearing: Connector.Hearing): Effect.Effect<never> =>
  Effect.callback(() => {
    const end = ListenStream.ofSession(port, wordsOf(filter), {
      acknowledged: (honored) => hearing.opened(filterOf(honored)),
      heard: (message) => {
        const change = changeOf(message)
        if (change !== undefined) hearing.changed(change)
      },
      gaveUp: () => hearing.opened({})
    })
    return Effect.sync(end)
  })

/** As MCP has it. */
const wordsOf = ({ uris = [], ...lists }: Changes.Filter): ListenStream.Filter => ({
  ...Object.fromEntries(kinds.filter((kind) => lists[kind] === true).map((kind) => [`${kind}ListChanged`, true])),
  ...(uris.length > 0 ? { resourceSubscriptions: uris } : {})
})

const filterOf = (honored: ListenStream.Honored): Changes.Filter => ({
  tools: honored.toolsListChanged,
  prompts: honored.promptsListChanged,
  resources: honored.resourcesListChanged,
  uris: honored.resourceSubscriptions
})

const changeOf = (message: Message.Notification): Changes.Change | undefined => {
  const kind = Message.listChanged(message)
  if (kind !== undefined) return Changes.list(kind)
  const uri = message.method === "notifications/resources/updated" ? message.params?.["uri"] : undefined
  return typeof uri === "string" ? Changes.resource(uri) : undefined
}

// -------------------------------------------------------------------------------------------------------- legacy era

const unasked = Effect.fnUntraced(function* (port: Port, filter: Changes.Filter, hearing: Connector.Hearing) {
  const { subscriptions } = port.transport
  const { uris = [] } = filter
  const declared = port.capabilities()
  const lists = kinds.filter((kind) => filter[kind] === true && tells(declared?.[kind]))
  const subscribed = new Set<string>()
  let isOpen = false
  const opened = () =>
    hearing.opened({ ...Object.fromEntries(lists.map((kind) => [kind, true])), uris: [...subscribed] })
  const isHeardOf = (change: Changes.Change) =>
    change._tag === "List" ? lists.includes(change.kind) : uris.some((uri) => belongsTo(change.uri, uri))
  return yield* Effect.acquireUseRelease(
    Effect.sync(() => {
      for (const uri of uris) subscriptions.hold(uri)
      return subscriptions.hear({
        told: (message) => {
          const change = changeOf(message)
          if (change !== undefined && isHeardOf(change)) hearing.changed(change)
        },
        // before it is open, that is to come
        restored: () => {
          if (isOpen) opened()
        }
      })
    }),
    () =>
      Effect.gen(function* () {
        yield* Effect.forEach(uris, (uri) => subscribe(port, uri, subscribed), { concurrency: 8, discard: true })
        yield* port.standing ?? Effect.void
        isOpen = true
        opened()
        return yield* Effect.never
      }),
    (stop) =>
      Effect.sync(() => {
        stop()
        for (const uri of uris) if (subscriptions.letGo(uri) && subscribed.has(uri)) unsubscribe(port, uri)
      })
  )
})

/** Whether a capability has `listChanged`. */
const tells = (capability: unknown): boolean => Message.isObject(capability) && capability["listChanged"] === true

/** A server may tell of a part of a resource that is subscribed to (MCP: sub-resource): its URI goes on where that one's ends. */
const belongsTo = (uri: string, subscribed: string): boolean =>
  uri.startsWith(subscribed) &&
  (uri.length === subscribed.length || subscribed.endsWith("/") || "/?#".includes(uri.charAt(subscribed.length)))

/** Asks until the server has answered: an error is an answer as well, and there is nothing to be heard of that resource. */
const subscribe = Effect.fnUntraced(function* ({ transport }: Port, uri: string, subscribed: Set<string>) {
  // Before it is asked for: who listens no longer when the answer comes has to end what the server has begun.
  subscribed.add(uri)
  let memory = Reopening.initial
  while (true) {
    const { evidence } = yield* Ask.ask(transport.requests, { method: "resources/subscribe", params: { uri } })
    if (evidence._tag === "Answered") return
    if (evidence._tag === "ErrorAnswer") return void subscribed.delete(uri)
    const next = Reopening.step(memory, { _tag: "Failed", evidence }, yield* Random.next)
    memory = next.memory
    yield* Effect.sleep(next.delay ?? 0)
  }
})

/** Nobody waits for the answer. */
const unsubscribe = ({ subscribed, transport }: Port, uri: string): void => {
  if (subscribed.has(uri)) return
  const question = { method: "resources/unsubscribe", params: { uri } }
  transport.requests.ask({ ...question, record: ofRequest(question) }, () => {})
}
