/**
 * A connector whose sessions are in the ledger before they are used, and that ends what others have left before it opens one.
 */
import type { Connector } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type { Book } from "./book.ts"

export const remembering = (inner: Connector.Connector<Peer.Peer>, book: Book): Connector.Connector<Peer.Peer> => ({
  ...inner,
  open: (host) =>
    Effect.gen(function* () {
      const left = yield* book.left
      const session = yield* inner.open(withMemory(host, { left, began: book.began, ended: book.ended }))
      yield* book.written
      return session
    })
})

const withMemory = (host: Connector.SessionHost, sessions: Connector.SessionMemory): Connector.SessionHost => ({
  sessions,
  alive: () => host.alive(),
  observe: (evidence) => host.observe(evidence),
  lost: (reason, detail) => host.lost(reason, detail),
  output: (last) => host.output(last),
  notice: (notice, count) => host.notice(notice, count),
  listChanged: (kind) => host.listChanged(kind),
  subscriptions: host.subscriptions,
  era: host.era
})
