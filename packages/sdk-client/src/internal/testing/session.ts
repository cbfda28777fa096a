/**
 * One session in memory: opening it, and the one way in which it ends.
 */
import { type Connector, Evidence } from "@vmcp-keepalive/core"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import * as Ask from "../../Ask.ts"
import type { ClientKind } from "../../ClientKind.ts"
import * as Listening from "../../Listening.ts"
import * as Limits from "../../Limits.ts"
import type { Wire } from "./wire.ts"

/** What a session is opened with. */
export interface Options<Client> {
  readonly kind: ClientKind<Client>
  readonly stateful: boolean
  /** makes the wire, with nothing sent yet */
  readonly wire: Effect.Effect<Wire, never, Scope.Scope>
}

/** Opens a session; it ends with the scope. */
export const open = <Client>(
  { kind, stateful, wire: makeWire }: Options<Client>,
  host: Connector.SessionHost
): Effect.Effect<Connector.Session<Client>, Evidence.Evidence, Scope.Scope> =>
  Effect.gen(function* () {
    const { client, wire } = yield* Effect.acquireRelease(
      // the client first, since it is the user's and may throw
      Effect.flatMap(kind.make, (client) => Effect.map(makeWire, (wire) => ({ client, wire }))),
      ({ client, wire }) => end(wire, client, kind)
    )
    const { requests } = wire
    const lost = yield* Deferred.make<never, Evidence.Evidence>()
    wire.onLost = (evidence) => void Deferred.doneUnsafe(lost, Exit.fail(evidence))
    const ready = Effect.gen(function* () {
      yield* shakeHands(wire, client, kind)
      yield* Ask.subscribe(requests, host.subscriptions)
      wire.opened = true
    })
    yield* Effect.raceFirst(ready, Deferred.await(lost))
    return {
      client,
      era: "legacy",
      stateful,
      separateAnswers: true,
      call: (traceparent) => kind.call(requests, client, traceparent),
      probe: (rung) => (rung._tag === "options" ? options(wire) : Ask.probe(requests, rung)),
      refresh: Effect.succeed(false),
      list: (listed) => Effect.suspend(() => Ask.list(requests, kind.capabilities(client), Limits.defaults, listed)),
      listen: (filter, hearing) =>
        Listening.listen({ ...wire.listening, capabilities: () => kind.capabilities(client) }, filter, hearing)
    }
  })

/** `initialize`, and the notification that follows it. */
const shakeHands = <Client>(
  wire: Wire,
  client: Client,
  kind: ClientKind<Client>
): Effect.Effect<void, Evidence.Evidence> =>
  Effect.callback((resume) => {
    kind.connect(client, wire.transport).then(
      () => resume(Effect.void),
      () => resume(Effect.fail(wire.requests.handshakeFailure()))
    )
  })

const options = (wire: Wire): Effect.Effect<Evidence.Evidence> =>
  Effect.callback((resume) => wire.options(() => resume(Effect.succeed(Evidence.answered))))

const end = <Client>(wire: Wire, client: Client, kind: ClientKind<Client>): Effect.Effect<void> =>
  Effect.gen(function* () {
    wire.close()
    yield* Effect.promise(() => kind.close(client).catch(() => {}))
    yield* Effect.promise(() => wire.transport.close())
  })
