/**
 * A connector whose sessions are in the ledger before they are used, and that ends what others have left before it opens one.
 */
import type { Connector } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import { hostWith } from "../owner/host.ts"
import type { Book } from "./book.ts"

export const remembering = (inner: Connector.Connector<Peer.Peer>, book: Book): Connector.Connector<Peer.Peer> => ({
  ...inner,
  open: (host) =>
    Effect.gen(function* () {
      const left = yield* book.left
      const session = yield* inner.open(hostWith(host, { sessions: { left, began: book.began, ended: book.ended } }))
      yield* book.written
      return session
    })
})
