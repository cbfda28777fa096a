/**
 * One request on its way to the owner: whether a byte of it may have left this process. It travels in the context of whoever makes the call.
 */
import * as Context from "effect/Context"

export interface State {
  /** the owner may have it */
  written: boolean
}

export class Ticket extends Context.Service<Ticket, State>()("@vmcp-keepalive/cluster/Ticket") {}
