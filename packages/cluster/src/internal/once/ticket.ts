/**
 * One request on its way to the owner: whether a byte of it may have left this process. It travels in the context of whoever makes the call.
 */
import * as Context from "effect/Context"

export interface State {
  /** the owner may have it */
  written: boolean
  /** the address of the owner to which it was sent last; none where that is this process */
  to?: string | undefined
}

export class Ticket extends Context.Service<Ticket, State>()("@vmcp-keepalive/cluster/Ticket") {}
