/**
 * Nothing leaves this process for a backend whose lease is not certain: no attempt, no probe, no request.
 */
import { type Connector, Evidence } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import { hostWith } from "./host.ts"

export const gated = (
  inner: Connector.Connector<Peer.Peer>,
  isCertain: () => boolean,
  /** is told of every session that begins */
  opened: (peer: Peer.Peer) => void = () => {}
): Connector.Connector<Peer.Peer> => ({
  kind: inner.kind,
  exclusive: inner.exclusive,
  connectTimeout: inner.connectTimeout,
  issues: inner.issues,
  supportsOptions: inner.supportsOptions,
  origin: inner.origin,
  open: (host) =>
    Effect.suspend(() =>
      isCertain()
        ? Effect.map(inner.open(hostWith(host, { maySend: isCertain })), (session) => {
            opened(session.client)
            return gatedSession(session, isCertain)
          })
        : Effect.fail(Evidence.transportFailure("closed"))
    )
})

/**
 * The session asks again directly before it writes (`maySend`): a process may be frozen in between. Here is what it need not begin. What is not
 * asked gets no answer: whoever asks has a bound.
 */
const gatedSession = (
  session: Connector.Session<Peer.Peer>,
  isCertain: () => boolean
): Connector.Session<Peer.Peer> => {
  const { listen } = session
  return {
    client: session.client,
    get era() {
      return session.era
    },
    get stateful() {
      return session.stateful
    },
    separateAnswers: session.separateAnswers,
    call: (traceparent) => {
      const call = session.call(traceparent)
      return { requests: call.requests, end: call.end, client: gatedPeer(call.client, isCertain) }
    },
    probe: (rung) => Effect.suspend(() => (isCertain() ? session.probe(rung) : Effect.never)),
    get refresh() {
      return session.refresh
    },
    list: (kind) => Effect.suspend(() => (isCertain() ? session.list(kind) : Effect.never)),
    listen:
      listen && ((filter, hearing) => Effect.suspend(() => (isCertain() ? listen(filter, hearing) : Effect.never)))
  }
}

/** A callback that makes several requests may have begun while the lease was certain. */
const gatedPeer = (peer: Peer.Peer, isCertain: () => boolean): Peer.Peer => ({
  request: (question, options) => (isCertain() ? peer.request(question, options) : refused()),
  notification: (notification) => (isCertain() ? peer.notification(notification) : refused()),
  answer: (answer) => (isCertain() ? peer.answer(answer) : refused()),
  connect: (transport) => peer.connect(transport),
  listen: (listener) => peer.listen(listener),
  close: () => peer.close(),
  get server() {
    return peer.server
  },
  get era() {
    return peer.era
  },
  get capabilities() {
    return peer.capabilities
  }
})

const refused = () => Promise.reject(new Error("It is not certain that no other process keeps this backend"))
