/** Every framework's client on one server: connected, called and told of together. */
import { KeepaliveEvent, type KeepalivePolicy } from "@vmcp-keepalive/core"
import { ErrorAnswer, type KeepAliveOptions } from "@vmcp-keepalive/host"
import { HttpPeerConnector } from "@vmcp-keepalive/transport-http/peer"
import { StdioPeerConnector } from "@vmcp-keepalive/transport-stdio/peer"
import { Effect } from "effect"
import type { Scope } from "effect"
import { type Framework, type Host, textOf, type Told } from "./framework.ts"
import type { Server } from "./stage.ts"

// ------------------------------------------------------------------------------------------------------------- models

/** How a call went, or the connecting. */
export type Outcome =
  | { readonly _tag: "Answered"; readonly text: string }
  | { readonly _tag: "Failed"; readonly text: string; readonly data: ErrorAnswer.Data | undefined }
  /** not settled when nobody would wait longer */
  | { readonly _tag: "Hanging" }

/** By the name of the framework. */
export type Outcomes = ReadonlyMap<string, Outcome>

/** Through this library, or as the framework's own documentation has it. */
export type Way = "kept" | "bare"

export interface Hosts {
  readonly way: Way
  readonly size: number
  /** Connects all; who cannot has that for the outcome of each of its calls. What is connected is closed with the scope. */
  readonly connect: Effect.Effect<void, never, Scope.Scope>
  /** The same to a server that is well, where a call of each is answered: whatever fails later has to do with the fault. */
  readonly connectWell: Effect.Effect<void, never, Scope.Scope>
  /** Each has a message of its own echoed, now. `patient`: nobody gives up early. */
  readonly echo: (message: string, patient?: "patient") => Promise<Outcomes>
  /** Each makes a call that takes so many milliseconds, and a few more: no two are the same. */
  readonly slow: (milliseconds: number) => Promise<Outcomes>
  /** Waits until the library has said so of each connection; over at once without it. */
  readonly until: (predicate: (event: KeepaliveEvent.KeepaliveEvent) => boolean) => Effect.Effect<void>
  /** What the framework's client was told so far. */
  readonly told: (framework: string) => ReturnType<Told["now"]> | undefined
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
  waitForSession: "20 seconds",
  inFlightGrace: "1 second",
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

/** When nobody waits longer, in milliseconds: with the library for what is promised, without it for what does not come. */
const patience = { kept: 20_000, bare: 3_000 }

export const make = (
  frameworks: ReadonlyArray<Framework>,
  way: Way,
  server: Server,
  overrides: KeepalivePolicy.Options = {}
): Hosts => {
  const members = frameworks.map((framework) => member(framework, way, server, overrides))
  const connect = Effect.forEach(members, (one) => one.connect, { concurrency: "unbounded", discard: true })
  const call = async (toOutcome: (one: Member, index: number) => Promise<Outcome>): Promise<Outcomes> =>
    new Map(await Promise.all(members.map(async (one, index) => [one.name, await toOutcome(one, index)] as const)))
  const echo: Hosts["echo"] = (message, patient) =>
    call((one) => one.call("echo", { message: `${one.name} ${message}` }, patient))
  const connectWell = Effect.gen(function* () {
    yield* connect
    for (const [name, outcome] of yield* Effect.promise(() => echo("before", "patient")))
      if (outcome._tag !== "Answered") throw new Error(`${name}, of a server that is well: ${JSON.stringify(outcome)}`)
  })
  return {
    way,
    size: members.length,
    connect,
    connectWell,
    echo,
    slow: (milliseconds) => call((one, index) => one.call("slow", { ms: milliseconds + index })),
    until: (predicate) =>
      way === "bare"
        ? Effect.void
        : Effect.promise(() => Promise.all(members.map((one) => one.observed.until(predicate)))),
    told: (framework) => members.find(({ name }) => name === framework)?.told()
  }
}

// ----------------------------------------------------------------------------------------------------------- internal

type Member = ReturnType<typeof member>

const member = ({ bare, kept, name }: Framework, way: Way, server: Server, overrides: KeepalivePolicy.Options) => {
  const observed = observer()
  let connecting: Outcome = { _tag: "Hanging" }
  let host: Host | undefined
  const open = () =>
    way === "bare"
      ? (bare?.(server) ?? Promise.reject(new Error("Seen through this library only")))
      : kept({
          id: name,
          connector: connectorOf(server),
          policy: { ...policy, ...overrides },
          telemetry: KeepaliveEvent.layerObserver(observed.observe)
        })
  return {
    name,
    observed,
    connect: Effect.gen(function* () {
      const opening = open()
      yield* Effect.addFinalizer(() => Effect.promise(() => close(opening)))
      const connected = opening.then((opened) => {
        host = opened
        return "connected"
      })
      connecting = yield* Effect.promise(() => outcome(connected, patience.kept))
    }),
    call: async (tool: string, args: Readonly<Record<string, unknown>>, patient?: "patient"): Promise<Outcome> =>
      host === undefined ? connecting : outcome(host.call(tool, args), patience[patient === undefined ? way : "kept"]),
    told: () => host?.told.now()
  }
}

const outcome = (promise: Promise<string>, within: number): Promise<Outcome> => {
  const settled = promise.then(
    (text): Outcome => ({ _tag: "Answered", text }),
    (error: unknown): Outcome => ({ _tag: "Failed", text: textOf(error), data: ErrorAnswer.dataOf(error) })
  )
  let timer: NodeJS.Timeout | undefined
  const hanging = new Promise<Outcome>((resolve) => {
    timer = setTimeout(() => resolve({ _tag: "Hanging" }), within)
  })
  return Promise.race([settled, hanging]).finally(() => clearTimeout(timer))
}

/** Closes what was opened, if it ever was. A client of a framework whose server hangs may do so, too. */
const close = async (opening: Promise<Host>): Promise<void> => {
  const closing = opening.then((host) => host.close())
  await outcome(
    closing.then(() => "closed"),
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
    /** the first such event, past or future */
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
