/**
 * Who is told how far a request is. Effect's `McpClient` has no place for that in its methods, so it is told through the context of
 * whoever makes the request.
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as McpSchema from "effect/ai/McpSchema"

/** How far a request is. */
export interface Progress {
  /** the request, as it was made */
  readonly request: McpSchema.JsonRpcRequest
  /** more each time */
  readonly progress: number
  /** what `progress` will be at the end, where the server knows */
  readonly total: number | undefined
  /** what the server says of it, for people */
  readonly message: string | undefined
}

/** Of the requests that are made where it is provided. */
export const OnProgress: Context.Reference<((progress: Progress) => Effect.Effect<void>) | undefined> =
  Context.Reference("@vmcp-keepalive/host/KeptMcpClient/OnProgress", {
    defaultValue: (): ((progress: Progress) => Effect.Effect<void>) | undefined => undefined
  })

/** The request whose progress the server is asked to tell, under its own id. */
export const asking = (request: McpSchema.JsonRpcRequest): McpSchema.JsonRpcRequest => {
  const meta = request.params?.["_meta"]
  return {
    ...request,
    params: { ...request.params, _meta: { ...(typeof meta === "object" ? meta : {}), progressToken: request.id } }
  }
}

const Told = Schema.Struct({
  progress: Schema.Finite,
  total: Schema.optional(Schema.Finite),
  message: Schema.optional(Schema.String)
})
const decode = Schema.decodeUnknownOption(Told)

/** What the parameters of `notifications/progress` tell, or `undefined` where they are not as MCP has them. */
export const of = (request: McpSchema.JsonRpcRequest, params: unknown): Progress | undefined =>
  Option.getOrUndefined(
    Option.map(decode(params), ({ message, progress, total }) => ({ request, progress, total, message }))
  )
