/** One row of the matrix: a fault, and how it goes for one framework over one wire. */
import { KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { ErrorAnswer, type KeepAliveOptions } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect } from "effect"
import type { Scope } from "effect"
import { type Framework, type Host, textOf, type Told } from "./framework.ts"
import type { Server, Stage } from "./stage.ts"

// ------------------------------------------------------------------------------------------------------------- models

/** How a call went, or a connection. */
export type Outcome =
  | { readonly _tag: "Answered"; readonly text: string }
  | { readonly _tag: "Failed"; readonly text: string; readonly data: ErrorAnswer.Data | undefined }
  /** not settled when nobody would wait longer */
  | { readonly _tag: "Hanging" }

export const isAnswered = ({ _tag }: Outcome): boolean => _tag === "Answered"

/** What a row is played with. */
export interface Play {
  readonly stage: Stage
  /** Whether through this library. */
  readonly isKept: boolean
  /** Connects, which may fail; what is connected is closed with the row. */
  readonly connect: Effect.Effect<Host, Outcome, Scope.Scope>
  /** Connects to a server that is well, and sees that a call is answered: whatever fails later has to do with the fault. */
  readonly connectWell: Effect.Effect<Host, never, Scope.Scope>
  /** The outcome of a call, begun now. */
  readonly call: (host: Host, tool: string, args: Readonly<Record<string, unknown>>) => Promise<Outcome>
  /** Waits until the library has said so; over at once without it. */
  readonly until: (predicate: (event: KeepaliveEvent.KeepaliveEvent) => boolean) => Effect.Effect<void>
}

// ------------------------------------------------------------------------------------------------------- constructors

/** A death is confirmed within 3 s; on a busy machine a live server is not taken for a dead one. */
const policy = {
  interval: "1 second",
  timeout: "800 millis",
  confirmInterval: "100 millis",
  failureThreshold: 2,
  stableAfter: 0,
  connectTimeout: "5 seconds",
  waitForSession: "15 seconds",
  backoff: { initial: "100 millis", factor: 2, cap: "500 millis" },
  circuit: "none"
} as const satisfies KeepalivePolicy.Options

const connectorOf = (server: Server): KeepAliveOptions["connector"] =>
  server.kind === "http"
    ? HttpPeerConnector.make({ url: server.url })
    : StdioPeerConnector.make({
        command: server.command,
        args: server.args,
        shutdown: { end: "200 millis", term: "200 millis" }
      })

/** When nobody waits longer, in milliseconds: with the library a row waits for what is promised, without it for what does not come. */
const patience = { kept: 20_000, bare: 3_000 }

export const make = (
  framework: Framework,
  way: "kept" | "bare",
  stage: Stage,
  overrides: KeepalivePolicy.Options = {}
): Play & { readonly told: () => ReturnType<Told["now"]> | undefined } => {
  const observed = observer()
  let told: Told | undefined
  const open = () =>
    way === "bare"
      ? framework.bare(stage.server)
      : framework.kept({
          id: "server",
          connector: connectorOf(stage.server),
          policy: { ...policy, ...overrides },
          telemetry: KeepaliveEvent.layerObserver(observed.observe)
        })
  const connect = Effect.gen(function* () {
    const opening = open()
    // What comes later than anybody waits is closed nevertheless.
    yield* Effect.addFinalizer(() => Effect.promise(() => closed(opening)))
    const connected = yield* Effect.promise(() => outcome(opening.then(() => "connected"), patience.kept))
    if (!isAnswered(connected)) return yield* Effect.fail(connected)
    const host = yield* Effect.promise(() => opening)
    told = host.told
    return host
  })
  const call = (host: Host, tool: string, args: Readonly<Record<string, unknown>>) =>
    outcome(host.call(tool, args), patience[way])
  return {
    stage,
    isKept: way === "kept",
    connect,
    connectWell: Effect.gen(function* () {
      const host = yield* connect
      const outcome = yield* Effect.promise(() => call(host, "echo", { message: "first" }))
      return isAnswered(outcome) ? host : yield* Effect.fail(outcome)
    }).pipe(Effect.catch((outcome) => Effect.die(new Error(`A server that is well: ${JSON.stringify(outcome)}`)))),
    call,
    until: (predicate) => (way === "kept" ? Effect.promise(() => observed.until(predicate)) : Effect.void),
    told: () => told?.now()
  }
}

// ----------------------------------------------------------------------------------------------------------- internal

const outcome = (promise: Promise<string>, patience: number): Promise<Outcome> =>
  new Promise((resolve) => {
    const timer = setTimeout(() => resolve({ _tag: "Hanging" }), patience)
    promise
      .then(
        (text): Outcome => ({ _tag: "Answered", text }),
        (error: unknown): Outcome => ({ _tag: "Failed", text: textOf(error), data: ErrorAnswer.dataOf(error) })
      )
      .then((outcome) => {
        clearTimeout(timer)
        resolve(outcome)
      })
  })

/** Closes what was opened, if it ever was; a client whose server hangs may do so too. */
const closed = async (opening: Promise<Host>): Promise<void> => {
  const close = opening.then(
    (host) => host.close(),
    () => {}
  )
  await outcome(
    close.then(() => ""),
    patience.bare
  )
}

const observer = () => {
  const events: Array<KeepaliveEvent.KeepaliveEvent> = []
  const waiting = new Set<(event: KeepaliveEvent.KeepaliveEvent) => void>()
  return {
    observe: (event: KeepaliveEvent.KeepaliveEvent) => {
      events.push(event)
      for (const told of waiting) told(event)
    },
    until: (predicate: (event: KeepaliveEvent.KeepaliveEvent) => boolean) =>
      new Promise<void>((resolve) => {
        if (events.some(predicate)) return resolve()
        const told = (event: KeepaliveEvent.KeepaliveEvent) => {
          if (!predicate(event)) return
          waiting.delete(told)
          resolve()
        }
        waiting.add(told)
      })
  }
}
