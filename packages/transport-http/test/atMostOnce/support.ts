/** A backend on a counting server, and how a call on it ended. */
import type { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { Backend, type ConnectionState, type KeepalivePolicy } from "@vmcp-keepalive/core"
import type { Certificate } from "@vmcp-keepalive/testkit"
import { Effect, Stream } from "effect"
import type { Scope } from "effect"
import type { AddressInfo } from "node:net"
import * as Tls from "node:tls"
import { HttpConnector } from "../../src/index.ts"
import { CountingServer, type Options } from "./countingServer.ts"

/**
 * Nothing happens but what a test causes: no probe of its own accord, and a session is given up as soon as a probe fails. No
 * time in it is one that a slow machine could exceed.
 */
export const patient: KeepalivePolicy.Options = {
  interval: "1 hour",
  timeout: "20 seconds",
  failureThreshold: 1,
  stableAfter: 0,
  staleAfter: "1 hour",
  waitForSession: "20 seconds",
  backoff: { initial: "10 millis", factor: 2, cap: "50 millis" },
  circuit: "none"
}

/** A way of sending. */
export interface Sender {
  readonly name: string
  /** whether it is the connector's own, which sees the socket; the others tell what failed, but not always at which step */
  readonly native: boolean
  /** whether it is Node's `fetch`, which sends a request again by itself that is answered with 421 */
  readonly repeatsMisdirected?: boolean
  readonly fetch: Effect.Effect<HttpConnector.Options["fetch"], never, Scope.Scope>
}

export const native: Sender = { name: "the connector's own sender", native: true, fetch: Effect.succeed(undefined) }

/** Whatever this process connects with trusts the certificate, until the scope closes. */
export const trust = ({ cert }: Certificate.Certificate) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const trusted = Tls.getCACertificates("default")
      Tls.setDefaultCACertificates([...trusted, cert])
      return trusted
    }),
    (trusted) => Effect.sync(() => Tls.setDefaultCACertificates(trusted))
  )

/** A counting server that listens on loopback, until the scope closes. */
export const listen = (options: Options = {}) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly counting: CountingServer; readonly port: number }>((resume) => {
      const counting = new CountingServer(options)
      counting.server.listen(0, "127.0.0.1", () => {
        const { port } = counting.server.address() as AddressInfo
        resume(Effect.succeed({ counting, port }))
      })
    }),
    ({ counting }) =>
      Effect.sync(() => {
        counting.server.close()
        counting.server.closeAllConnections()
      })
  )

/** What a call said in the end: `ok`, or the name of its error. */
export type Said = "ok" | "SessionUnavailable" | "CallRejected" | "OutcomeUnknown" | "CallFailed" | "never settled"

/** Nothing deviated from what was expected; else the report has every line of it. */
export const none = (wrong: ReadonlyArray<string>) => {
  if (wrong.length > 0) throw new Error(wrong.join("\n"))
}

export interface Kept {
  readonly backend: Backend.Backend<Client>
  /** Makes the call with this id, which is not replayable. */
  readonly call: (id: string) => Effect.Effect<Said>
  /** Waits for a state, the current one or a later; false if it does not come within 10 s. */
  readonly reaches: (predicate: (state: ConnectionState.ConnectionState) => boolean) => Effect.Effect<boolean>
  /** Connected, and no probe is under way; false if that is not so within 10 s. */
  readonly well: Effect.Effect<boolean>
}

/** Keeps the server at the URL alive; connected when it returns. */
export const keep = Effect.fnUntraced(function* (options: {
  readonly url: string
  readonly sender?: Sender
  readonly headers?: HttpConnector.Options["headers"]
  readonly policy?: KeepalivePolicy.Options
}) {
  const { headers, policy, sender = native, url } = options
  const fetch = yield* sender.fetch
  const backend = yield* Backend.make({
    id: "counting",
    connector: HttpConnector.make({
      url,
      ...(fetch === undefined ? {} : { fetch }),
      ...(headers === undefined ? {} : { headers })
    }),
    policy: { ...patient, ...policy }
  })
  const within = <E>(effect: Effect.Effect<boolean, E>) =>
    effect.pipe(Effect.orDie, Effect.timeoutOrElse({ duration: "10 seconds", orElse: () => Effect.succeed(false) }))
  const kept: Kept = {
    backend,
    call: (id) =>
      backend
        .use((client, signal) => client.callTool({ name: "act", arguments: { id } }, undefined, { signal }))
        .pipe(
          Effect.match({ onSuccess: () => "ok" as const, onFailure: ({ _tag }) => _tag }),
          Effect.timeoutOrElse({ duration: "30 seconds", orElse: () => Effect.succeed("never settled" as const) })
        ),
    reaches: (predicate) =>
      within(
        backend.changes.pipe(
          Stream.filter(predicate),
          Stream.runHead,
          Effect.map(({ _tag }) => _tag === "Some")
        )
      ),
    well: within(
      Effect.andThen(backend.awaitConnected, backend.probe).pipe(
        Effect.map(({ _tag }) => _tag === "Connected"),
        // A session that ends between the two is no session to probe.
        Effect.catchTag("SessionUnavailable", () => Effect.succeed(false)),
        Effect.repeat({ until: (well: boolean) => well })
      )
    )
  }
  if (!(yield* kept.well)) return yield* Effect.die(new Error(`${sender.name} cannot connect to ${url}`))
  return kept
})
