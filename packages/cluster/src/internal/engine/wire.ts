/**
 * How what one process asks of another is written as JSON, and how it is refused: each message is a request of one of these tags, as in the engine's own RPC,
 * and what an entity answers is the value with which the request succeeds, or of a part of it where it is a stream.
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import * as Predicate from "effect/Predicate"
import * as Schema from "effect/Schema"
import * as Tracer from "effect/Tracer"
import {
  ClusterError,
  EntityAddress,
  EntityId,
  EntityType,
  Envelope,
  type Message,
  Reply,
  ShardId,
  Snowflake
} from "effect/cluster"
import { Headers } from "effect/http"
import { type Rpc, RpcSchema, RpcSerialization } from "effect/rpc"
import type { ExitEncoded } from "effect/rpc/RpcMessage"
import type { Request } from "../owner/perform.ts"
import { type Answer, BackendEntity, Call } from "../protocol.ts"
import * as CallCodec from "./callCodec.ts"

/** What is answered. */
export interface Answerable {
  readonly _tag: "Request"
  readonly id: number
  readonly tag: "Effect" | "Stream" | "Ping"
  readonly payload: unknown
}

/** A call, which is most of what is asked: in fewer words than the rest. What the owner does belongs to the span of whoever calls. */
export interface Called {
  readonly _tag: "Call"
  readonly id: number
  readonly backend: string
  /** by which the engine knows it */
  readonly requestId: string
  readonly call: unknown
  readonly span?: { readonly traceId: string; readonly spanId: string; readonly sampled: boolean }
}

/** What one process says to another. `Effect` and `Stream` are asked of an entity, whose answer comes once or in parts; nobody answers what concerns another request. */
export type Question =
  | Answerable
  | Called
  | { readonly _tag: "Request"; readonly tag: "Envelope"; readonly payload: unknown }
  | { readonly _tag: "Interrupt"; readonly requestId: number }
/** Whether another process says one. */
export const isQuestion = (message: unknown): message is Question => {
  const { _tag, backend, id, requestId, span, tag } = fields(message)
  if (_tag === "Call")
    return Predicate.isNumber(id) && Predicate.isString(backend) && isSnowflake(requestId) && isSpan(span)
  if (_tag === "Interrupt") return Predicate.isNumber(requestId)
  if (_tag !== "Request") return false
  return tag === "Envelope" || ((tag === "Effect" || tag === "Stream" || tag === "Ping") && Predicate.isNumber(id))
}

/** It is read only when a call has failed, where nobody would hear that it is none. */
const isSnowflake = (id: unknown): boolean => Predicate.isString(id) && /^\d{1,20}$/.test(id)

const isSpan = (span: unknown): boolean => {
  if (span === undefined) return true
  const { sampled, spanId, traceId } = fields(span)
  return Predicate.isString(traceId) && Predicate.isString(spanId) && Predicate.isBoolean(sampled)
}

/** What is said to it: the answer to a call, a part of another answer, or the end. */
export type Said =
  | { readonly _tag: "Answer"; readonly requestId: number; readonly answer: Answer }
  | { readonly _tag: "Chunk"; readonly requestId: number; readonly values: ReadonlyArray<unknown> }
  | { readonly _tag: "Exit"; readonly requestId: number; readonly exit: ExitEncoded<unknown, unknown> }
/** Whether another process says that. */
export const isSaid = (message: unknown): message is Said => {
  const { _tag, answer, exit, requestId, values } = fields(message)
  if (!Predicate.isNumber(requestId)) return false
  if (_tag === "Answer") return CallCodec.isAnswer(answer)
  return _tag === "Chunk" ? Array.isArray(values) : _tag === "Exit" && Predicate.isObject(exit)
}

/** What fills the messages. */
export const codecFor: RpcSerialization.CodecFor = RpcSerialization.json.codecFor

const requests = [...BackendEntity.protocol.requests.values()]

/** What an entity is asked with. */
const payloads: ReadonlyMap<string, Codec["encode"]> = new Map(
  requests.map(({ _tag, payloadSchema }) => [_tag, Schema.encodeUnknownEffect(codecFor(payloadSchema))])
)
/** A request of an entity. `persisted`: whether the storage has it, which has nothing. */
export interface Asked {
  readonly request: Envelope.PartialRequestEncoded
  readonly persisted: false
}
/** Whether another process says one. What an entity is asked with is looked at by the engine. */
export const isAsked = (payload: unknown): payload is Asked => {
  if (!Predicate.hasProperty(payload, "request") || !Predicate.isTagged(payload.request, "Request")) return false
  const { address, headers, requestId, tag } = fields(payload.request)
  const { entityId, entityType, shardId } = fields(address)
  const { group, id } = fields(shardId)
  const texts = [requestId, tag, entityId, entityType, group]
  return texts.every(Predicate.isString) && Predicate.isNumber(id) && Predicate.isObject(headers)
}
const fields = (value: unknown): Readonly<Record<string, unknown>> => (Predicate.isObject(value) ? value : {})

const spanOf = <R extends Rpc.Any>({ context }: Message.OutgoingRequest<R>): Called["span"] => {
  const parent = Context.getOrUndefined(context, Tracer.ParentSpan)
  return parent && { traceId: parent.traceId, spanId: parent.spanId, sampled: parent.sampled }
}

/** A request of an entity as it is asked. What the owner does belongs to the span of whoever asks. */
export const asked = <R extends Rpc.Any>(
  id: number,
  message: Message.OutgoingRequest<R>
): Effect.Effect<Answerable | Called, Schema.SchemaError> => {
  const { address, headers, payload, requestId, tag } = message.envelope
  const { entityId, entityType, shardId } = address
  const span = spanOf(message)
  if (tag === Call._tag) {
    const call = CallCodec.encode(payload as Request)
    return Effect.succeed({
      _tag: "Call",
      id,
      backend: entityId,
      requestId: String(requestId),
      call,
      ...(span && { span })
    })
  }
  const encode = payloads.get(tag)
  if (encode === undefined) return Effect.die(new Error("Backends are not asked that"))
  return Effect.map(encode(payload), (encoded) => {
    const request: Asked["request"] = {
      _tag: "Request",
      requestId: String(requestId),
      address: { shardId: { group: shardId.group, id: shardId.id }, entityType, entityId },
      tag,
      payload: encoded,
      headers,
      ...span
    }
    const asked: Asked = { request, persisted: false }
    return { _tag: "Request", id, tag: streams.has(tag) ? "Stream" : "Effect", payload: asked }
  })
}

/** The same as the engine takes it. */
export type Requested = ReturnType<typeof requested>
export const requested = ({ address, headers, requestId, ...request }: Envelope.PartialRequestEncoded) => ({
  ...request,
  requestId: Snowflake.Snowflake(requestId),
  address: EntityAddress.make({
    shardId: ShardId.make(address.shardId.group, address.shardId.id),
    entityType: EntityType.make(address.entityType),
    entityId: EntityId.make(address.entityId)
  }),
  headers: Headers.fromRecordUnsafe(headers)
})

/** What concerns a request that is under way. */
const Concerning = codecFor(
  Schema.Struct({ envelope: Schema.Union([Envelope.AckChunk, Envelope.Interrupt]), persisted: Schema.Boolean })
)
export const concerning = { encode: Schema.encodeSync(Concerning), decode: Schema.decodeUnknownSync(Concerning) }

/** Nothing was executed. */
export type Refusal = typeof Refusal.Type
const Refusal = Schema.Union([
  ClusterError.EntityNotAssignedToRunner,
  ClusterError.MailboxFull,
  ClusterError.AlreadyProcessingMessage
])

/** How a request ends that no entity has. */
export const refused = (cause: Cause.Cause<Refusal>): ExitEncoded<unknown, unknown> => {
  const error = Option.getOrUndefined(Cause.findErrorOption(cause))
  if (error !== undefined) return { _tag: "Failure", cause: [{ _tag: "Fail", error: refusal(error) }] }
  if (Cause.hasInterruptsOnly(cause)) return { _tag: "Failure", cause: [{ _tag: "Interrupt", fiberId: null }] }
  // what it met may tell what was asked
  return { _tag: "Failure", cause: [{ _tag: "Die", defect: "The request was not understood" }] }
}
const refusal = Schema.encodeSync(codecFor(Refusal))
/** The same, read. */
export const end = Schema.decodeUnknownEffect(codecFor(Schema.Exit(Schema.Void, Refusal, Schema.Defect())))

/** What is answered with a stream. */
export const streams: ReadonlySet<string> = new Set(
  requests.flatMap(({ _tag, successSchema }) => (RpcSchema.isStreamSchema(successSchema) ? [_tag] : []))
)

/** Of what is answered once: the answer where it succeeds, as nearly all do; all that an end may be takes the engine several times as long. */
const successes: ReadonlyMap<string, Codec> = new Map(
  requests.flatMap(({ _tag, successSchema }): ReadonlyArray<readonly [string, Codec]> => {
    if (RpcSchema.isStreamSchema(successSchema)) return []
    const codec = codecFor(successSchema)
    return [[_tag, { encode: Schema.encodeUnknownEffect(codec), decode: Schema.decodeUnknownEffect(codec) }]]
  })
)
interface Codec {
  readonly encode: (value: unknown) => Effect.Effect<unknown, Schema.SchemaError>
  readonly decode: (json: unknown) => Effect.Effect<unknown, Schema.SchemaError>
}

/** What an entity answers, encoded. */
export const answer = (reply: Reply.ReplyWithContext<Rpc.Any>, tag: string): Effect.Effect<Reply.Encoded> => {
  const success = successes.get(tag)
  const { id, requestId, ...end } = reply.reply
  if (success === undefined || end._tag !== "WithExit" || Exit.isFailure(end.exit))
    return Reply.serializeOrDefect(reply, codecFor)
  return Effect.map(Effect.orDie(success.encode(end.exit.value)), (value) => ({
    _tag: "WithExit",
    requestId: String(requestId),
    id: String(id),
    exit: { _tag: "Success", value }
  }))
}

/** The same, read. */
export const answered = <R extends Rpc.Any>(
  { context, envelope, rpc }: Message.OutgoingRequest<R>,
  reply: unknown
): Effect.Effect<Reply.Reply<R>, Schema.SchemaError> => {
  const success = successes.get(envelope.tag)
  if (success === undefined || !isSuccess(reply))
    return Effect.provideContext(Schema.decodeUnknownEffect(Reply.Reply(rpc, codecFor))(reply), context)
  const { requestId } = envelope
  return Effect.map(success.decode(reply.exit.value), (value) => {
    // the schema was that of this request, by its tag
    const exit: Rpc.Exit<R> = Exit.succeed(value as Rpc.SuccessExit<R>)
    return new Reply.WithExit<R>({ requestId, id: requestId, exit })
  })
}

const isSuccess = (reply: unknown): reply is { readonly exit: { readonly value?: unknown } } =>
  Predicate.isTagged(reply, "WithExit") &&
  Predicate.hasProperty(reply, "exit") &&
  Predicate.isTagged(reply.exit, "Success")
