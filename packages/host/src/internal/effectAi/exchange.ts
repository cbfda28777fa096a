/**
 * A kept connection as the transport of Effect's `McpClient`: each request waits for the message that answers it.
 */
import type { Backend, BackendError } from "@vmcp-keepalive/core"
import { Message, type Peer } from "@vmcp-keepalive/sdk-client/peer"
import type * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as PubSub from "effect/PubSub"
import * as Pull from "effect/Pull"
import * as Queue from "effect/Queue"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type * as McpClient from "effect/ai/McpClient"
import * as McpClientError from "effect/ai/McpClientError"
import * as McpProtocol from "effect/ai/McpProtocol"
import type * as McpSchema from "effect/ai/McpSchema"
import * as KeptPeer from "../../KeptPeer.ts"
import * as Progress from "./progress.ts"
import * as ServerRequests from "./serverRequests.ts"

/** What the host says of itself, which Effect's client leaves out. */
export interface Options<R = never> {
  /**
   * What the server is told that it may ask, such as `{ roots: {} }`: Effect's client says that it may ask nothing. Declare what
   * `onRequest` answers.
   */
  readonly capabilities?: (typeof McpSchema.ClientCapabilities)["Encoded"] | undefined
  /**
   * Answers what the server asks (`roots/list`, `sampling/createMessage`, `elicitation/create`). It is interrupted when the server, or
   * its session, waits no longer. Default: a "method not found"; `ping` is answered in any case.
   */
  readonly onRequest?: ServerRequests.OnRequest<R> | undefined
}

/** See the module. */
export interface KeptTransport extends McpClient.Transport {
  /** to see it, and to operate it */
  readonly backend: Backend.Backend<Peer.Peer>
  /**
   * The notifications of the server's, in order, from when it is run until the scope ends. Of those that wait, the oldest are dropped
   * when there are more than 256.
   */
  readonly notifications: Stream.Stream<McpSchema.JsonRpcNotification>
  /** How often the list of tools may have changed: the server said so, or a session came that was not the first. */
  readonly toolListRevision: Effect.Effect<number>
}

/** Notifications, and progress of one request, that wait for who reads them slowly. */
const most = 256

/** A request that waits for its answer. */
interface Waiting {
  readonly answered: (answer: McpSchema.JsonRpcResponse) => void
  readonly closed: () => void
  readonly progress: ((params: unknown) => void) | undefined
}

/** See the module. */
export const make = Effect.fnUntraced(function* <R = never, RequestR = never>(
  options: KeptPeer.Options<R> & Options<RequestR>
): Effect.fn.Return<KeptTransport, BackendError.ConfigurationError, Scope.Scope | R | RequestR> {
  const waiting = new Map<Message.Id, Waiting>()
  let toolListRevision = 0
  let isClosed = false
  const notifications = yield* Effect.acquireRelease(
    PubSub.sliding<McpSchema.JsonRpcNotification>(most),
    PubSub.shutdown
  )
  const serverRequests = yield* ServerRequests.make(options.onRequest, (answer) => peer.take(answer))

  const received: KeptPeer.Deliver = (message) => {
    // An error without an id answers nothing that was asked here.
    if (Message.isAnswer(message))
      return message.id === undefined ? undefined : waiting.get(message.id)?.answered(message)
    if (Message.isRequest(message)) return serverRequests.received(message)
    const progress = Message.progressOf(message)
    const asked = Message.isId(progress) ? waiting.get(progress)?.progress : undefined
    if (asked !== undefined) return asked(message.params)
    const cancelled = Message.cancelled(message)
    if (cancelled !== undefined) return serverRequests.cancelled(cancelled)
    if (message.method === "notifications/tools/list_changed") toolListRevision++
    PubSub.publishUnsafe(notifications, message)
  }

  // Nothing comes before it is asked for: the first session is opened by `initialize`.
  const peer = yield* KeptPeer.make(options, received)
  // before the end of the connection, which answers nothing any more
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      isClosed = true
      for (const { closed } of [...waiting.values()]) closed()
    })
  )

  const exchange = (
    request: McpSchema.JsonRpcRequest,
    progress?: Waiting["progress"]
  ): Effect.Effect<McpSchema.JsonRpcResponse, McpClientError.McpClientError> =>
    Effect.callback((resume) => {
      const { id } = request
      if (isClosed) return resume(Effect.fail(ended))
      if (waiting.has(id)) return resume(Effect.fail(twice))
      const settle = (outcome: Effect.Effect<McpSchema.JsonRpcResponse, McpClientError.McpClientError>) => {
        waiting.delete(id)
        resume(outcome)
      }
      waiting.set(id, {
        answered: (answer) => settle(Effect.succeed(answer)),
        closed: () => settle(Effect.fail(ended)),
        progress
      })
      peer.take(request)
      return Effect.sync(() => {
        waiting.delete(id)
        peer.take({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: id } })
      })
    })

  const withProgress = Effect.fnUntraced(function* (
    request: McpSchema.JsonRpcRequest,
    onProgress: (progress: Progress.Progress) => Effect.Effect<void>
  ) {
    const told = yield* Queue.sliding<Progress.Progress, Cause.Done>(most)
    const answer = exchange(Progress.asking(request), (params) => {
      const progress = Progress.of(request, params)
      if (progress !== undefined) Queue.offerUnsafe(told, progress)
    })
    // one by one, so that no more wait than the queue has
    const handled = Effect.forever(Effect.flatMap(Queue.take(told), onProgress)).pipe(Pull.catchDone(() => Effect.void))
    // What was told is handled first, since the queue ends behind it.
    const [answered] = yield* Effect.all([Effect.ensuring(answer, Queue.end(told)), handled], { concurrency: 2 })
    return answered
  })

  return {
    "~effect/ai/McpClient/Transport": "~effect/ai/McpClient/Transport",
    protocol: McpProtocol.v2025_11_25,
    isCallable: () => true,
    request: (message) => {
      if (message.method === "initialize") return exchange(declaring(message, options.capabilities))
      return Effect.flatMap(Progress.OnProgress, (onProgress) =>
        onProgress === undefined ? exchange(message) : withProgress(message, onProgress)
      )
    },
    notify: (message) => Effect.suspend(() => (isClosed ? Effect.fail(ended) : Effect.succeed(peer.take(message)))),
    backend: peer.backend,
    notifications: Stream.fromPubSub(notifications),
    toolListRevision: Effect.sync(() => toolListRevision)
  }
})

const ended = new McpClientError.McpClientError({
  reason: new McpClientError.ClosedError({ description: "The scope of the MCP connection has ended" })
})

const twice = new McpClientError.McpClientError({
  reason: new McpClientError.ProtocolError({ description: "A request with this id is under way" })
})

/** `initialize` with what the host can be asked. */
const declaring = (
  request: McpSchema.JsonRpcRequest,
  capabilities: Options["capabilities"]
): McpSchema.JsonRpcRequest => {
  if (capabilities === undefined) return request
  const own = request.params?.["capabilities"]
  return {
    ...request,
    params: { ...request.params, capabilities: { ...(typeof own === "object" ? own : {}), ...capabilities } }
  }
}
