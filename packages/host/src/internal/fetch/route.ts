/**
 * Which stream a message to the host belongs on: Streamable HTTP has one for each request that is under way, and at most one that
 * stands for what belongs to none. The server's own streams say it where there are any; messages of a server over stdio say
 * nothing but their progress token.
 */
import { Message } from "@vmcp-keepalive/sdk-client/peer"

/** The streams that are open. */
export interface Open {
  /** the requests of the host's that are under way, each with a stream, by id */
  readonly calls: ReadonlyMap<Message.Id, unknown>
  /** the request that has this progress token */
  readonly byToken: (token: unknown) => Message.Id | undefined
  readonly standing: boolean
}

/** Where it goes. */
export type Place =
  /** ends the stream of the request that it answers */
  | { readonly _tag: "Answer"; readonly id: Message.Id }
  /** on the stream of that request */
  | { readonly _tag: "Call"; readonly id: Message.Id }
  | { readonly _tag: "Standing" }
  /** no stream is open: it waits for one */
  | { readonly _tag: "Nowhere" }
  /** it answers what nobody waits for */
  | { readonly _tag: "Nobody" }

/** See the module. `related` is the request on whose answer stream it came, where that is known. */
export const route = (message: Message.Message, related: Message.Id | undefined, open: Open): Place => {
  const { byToken, calls, standing } = open
  if (Message.isAnswer(message)) {
    return message.id !== undefined && calls.has(message.id) ? { _tag: "Answer", id: message.id } : nobody
  }
  if (related !== undefined && calls.has(related)) return { _tag: "Call", id: related }
  const progressing = byToken(Message.progressOf(message))
  if (progressing !== undefined) return { _tag: "Call", id: progressing }
  const [oldest, another] = calls.keys()
  // What a server sends while it works on the only request comes before its answer then, as it did.
  if (oldest !== undefined && another === undefined && !isOfNoRequest(message)) return { _tag: "Call", id: oldest }
  if (standing) return { _tag: "Standing" }
  // The specification would rather have it wait; but a server that asks may be asking for what the call needs, and many clients
  // open no stream that stands.
  return oldest === undefined ? nowhere : { _tag: "Call", id: oldest }
}

const nobody: Place = { _tag: "Nobody" }
const nowhere: Place = { _tag: "Nowhere" }

/** Whether it tells of what the server has, which no request is the reason of. */
const isOfNoRequest = (message: Message.Request | Message.Notification): boolean =>
  /^notifications\/(tools|prompts|resources)\/(list_changed|updated)$/.test(message.method)
