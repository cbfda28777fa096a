/**
 * Requests whose maker is a client of MCP 2026-07-28 itself: it gets results of that era as they are, and answers what a server asks
 * by sending its request again.
 */
import type * as Message from "../../Message.ts"

/** `JSON` does not see it, and whoever copies the parameters copies it. */
const tag = Symbol.for("@vmcp-keepalive/sdk-client/handedOn")

/** The parameters of such a request. */
export const mark = (params: Message.Params | undefined): Message.Params => {
  const marked = { ...params, [tag]: true }
  return marked
}

export const isMarked = (params: Message.Params | undefined): boolean => params !== undefined && tag in params

/** Whether it goes on with what a server has asked, which is the server's to understand that has asked it. */
export const isFurtherLeg = (params: Message.Params | undefined): boolean =>
  isMarked(params) && (params?.["inputResponses"] !== undefined || params?.["requestState"] !== undefined)
