/**
 * A list of a server's, read from all of its pages.
 */
import { Listing } from "@vmcp-keepalive/host/gateway"
import type { Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import { type Entry, type Kind, methods } from "../catalogue/kinds.ts"

/** Asks for a page, until the signal is aborted. */
export type Ask = (method: string, params: Message.Params | undefined, signal: AbortSignal) => Promise<Message.Result>

/** See the module. Rejects where the server answers with an error, or with more than the bounds allow. */
export const read = (kind: Kind, ask: Ask, signal: AbortSignal): Promise<ReadonlyArray<Entry>> =>
  Listing.all((params) => ask(methods[kind], params, signal), kind)

/** The same as an effect. */
export const reading = (kind: Kind, ask: Ask): Effect.Effect<ReadonlyArray<Entry>, unknown> =>
  Effect.tryPromise({ try: (signal) => read(kind, ask, signal), catch: (error) => error })
