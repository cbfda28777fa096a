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
      return { requests: call.requests, end: call.end, client: new GatedPeer(call.client, isCertain) }
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

/** A callback that makes several requests may have begun while the lease was certain. A class, as each call makes one. */
class GatedPeer implements Peer.Peer {
  readonly #peer: Peer.Peer
  readonly #isCertain: () => boolean

  constructor(peer: Peer.Peer, isCertain: () => boolean) {
    this.#peer = peer
    this.#isCertain = isCertain
  }

  request(...asked: Parameters<Peer.Peer["request"]>): ReturnType<Peer.Peer["request"]> {
    return this.#isCertain() ? this.#peer.request(...asked) : refused()
  }

  notification(...told: Parameters<Peer.Peer["notification"]>): ReturnType<Peer.Peer["notification"]> {
    return this.#isCertain() ? this.#peer.notification(...told) : refused()
  }

  answer(...told: Parameters<Peer.Peer["answer"]>): ReturnType<Peer.Peer["answer"]> {
    return this.#isCertain() ? this.#peer.answer(...told) : refused()
  }

  connect(...to: Parameters<Peer.Peer["connect"]>): ReturnType<Peer.Peer["connect"]> {
    return this.#peer.connect(...to)
  }

  listen(...listener: Parameters<Peer.Peer["listen"]>): ReturnType<Peer.Peer["listen"]> {
    return this.#peer.listen(...listener)
  }

  close(): ReturnType<Peer.Peer["close"]> {
    return this.#peer.close()
  }

  get server(): Peer.Peer["server"] {
    return this.#peer.server
  }

  get era(): Peer.Peer["era"] {
    return this.#peer.era
  }

  get capabilities(): Peer.Peer["capabilities"] {
    return this.#peer.capabilities
  }
}

const refused = () => Promise.reject(new Error("It is not certain that no other process keeps this backend"))
