/**
 * Nothing leaves this process for a backend whose lease is not certain: no attempt, no probe, no request.
 */
import { type Connector, Evidence } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"

export const gated = <Client>(
  inner: Connector.Connector<Client>,
  isCertain: () => boolean
): Connector.Connector<Client> => ({
  kind: inner.kind,
  exclusive: inner.exclusive,
  connectTimeout: inner.connectTimeout,
  issues: inner.issues,
  supportsOptions: inner.supportsOptions,
  origin: inner.origin,
  open: (host) =>
    Effect.suspend(() =>
      isCertain()
        ? Effect.map(inner.open(host), (session) => gatedSession(session, isCertain))
        : Effect.fail(Evidence.transportFailure("closed"))
    )
})

/** What is not asked gets no answer: whoever asks has a bound. */
const gatedSession = <Client>(
  session: Connector.Session<Client>,
  isCertain: () => boolean
): Connector.Session<Client> => ({
  client: session.client,
  get era() {
    return session.era
  },
  get stateful() {
    return session.stateful
  },
  separateAnswers: session.separateAnswers,
  call: (traceparent) => session.call(traceparent),
  probe: (rung) => Effect.suspend(() => (isCertain() ? session.probe(rung) : Effect.never)),
  get refresh() {
    return session.refresh
  },
  list: (kind) => Effect.suspend(() => (isCertain() ? session.list(kind) : Effect.never))
})
