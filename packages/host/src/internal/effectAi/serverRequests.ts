/**
 * The requests of servers, answered by an Effect of the application: Effect's `McpClient` answers none but `ping`.
 */
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberMap from "effect/FiberMap"
import * as Option from "effect/Option"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as McpSchema from "effect/ai/McpSchema"

/** Answers a request of the server's with a result. */
export type OnRequest<R> = (request: McpSchema.JsonRpcRequest) => Effect.Effect<Message.Result, McpSchema.McpError, R>

/** See the module. How many there are is bounded by the transport, which counts what a session has in hand. */
export interface ServerRequests {
  readonly received: (request: McpSchema.JsonRpcRequest) => void
  /** Nobody waits for the answer any more. */
  readonly cancelled: (id: Message.Id) => void
}

/** What is under way when the scope ends is interrupted. */
export const make = Effect.fnUntraced(function* <R>(
  onRequest: OnRequest<R> | undefined,
  answer: (answer: Message.Answer) => void
): Effect.fn.Return<ServerRequests, never, Scope.Scope | R> {
  const fibers = yield* FiberMap.make<Message.Id>()
  const run = yield* FiberMap.runtime(fibers)<R>()
  const handle = onRequest ?? unsupported
  return {
    received: (request) => {
      const { id } = request
      const handled = Effect.exit(Effect.suspend(() => handle(request)))
      run(
        id,
        Effect.map(handled, (exit) => answer({ jsonrpc: "2.0", id, ...outcomeOf(exit) }))
      )
    },
    cancelled: (id) => {
      const fiber = FiberMap.getUnsafe(fibers, id)
      if (Option.isSome(fiber)) fiber.value.interruptUnsafe()
    }
  }
})

const unsupported = ({ method }: McpSchema.JsonRpcRequest): Effect.Effect<never, McpSchema.McpError> =>
  Effect.fail(new McpSchema.MethodNotFound({ message: `Unsupported MCP method: ${method}` }))

/** A defect stays here: what it says is the application's own. */
const outcomeOf = (exit: Exit.Exit<Message.Result, McpSchema.McpError>) => {
  if (Exit.isSuccess(exit)) return { result: exit.value }
  const found = Cause.findError(exit.cause)
  const { code, data, message } = Result.isSuccess(found) ? found.success : internalError
  return { error: data === undefined ? { code, message } : { code, message, data: data as unknown } }
}

const internalError = new McpSchema.InternalError({ message: "Internal error" })
