/**
 * Requests whose maker is a client of MCP 2026-07-28 itself: it gets results of that era as they are, and answers what a server asks
 * by sending its request again.
 */
import * as Message from "../../Message.ts"

/** `JSON` does not see it, and whoever copies the parameters copies it. */
const tag = Symbol.for("@vmcp-keepalive/sdk-client/handedOn")

/** The parameters of such a request, whose maker says this of itself. */
export const mark = (params: Message.Params | undefined, words: Message.Params): Message.Params => {
  const marked = { ...params, [tag]: words }
  return marked
}

/** What its maker says of itself; `undefined` where it is no such request. */
export const wordsOf = (
  params: (Message.Params & { readonly [tag]?: unknown }) | undefined
): Message.Params | undefined => {
  const words = params?.[tag]
  return Message.isObject(words) ? words : undefined
}

export const isMarked = (params: Message.Params | undefined): boolean => wordsOf(params) !== undefined

/** Whether it goes on with what a server has asked, which is the server's to understand that has asked it. */
export const isFurtherLeg = (params: Message.Params | undefined): boolean =>
  isMarked(params) && (params?.["inputResponses"] !== undefined || params?.["requestState"] !== undefined)
