/**
 * Sending through a dispatcher of undici's that is the user's.
 */
import { addressing, dispatch, type Dispatcher } from "./dispatch.ts"
import type { Sender } from "./sender.ts"

/** Its connections are its own, so that closing the session ends only what is under way. */
export const make = (dispatcher: Dispatcher): Sender => {
  const addressOf = addressing()
  return {
    send: (request, receiver) => dispatch(dispatcher, request, addressOf(request.url), receiver),
    close: () => {}
  }
}
