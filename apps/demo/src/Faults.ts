/**
 * The faults of the tour as data: what is done to which backend, how one sees that it has noticed, and what must follow.
 *
 * Times are bounded by what the policy promises, plus what a loaded machine with two cores may add.
 */
import { Fault } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Redacted } from "effect"
import type { Expectation } from "./Expectation.ts"
import * as Journal from "./Journal.ts"
import type { Sign } from "./Journal.ts"
import { spacing } from "./Traffic.ts"
import { bounds } from "./World.ts"
import type { Place, World } from "./World.ts"

/** One fault. */
export interface Played {
  readonly name: string
  readonly place: Place
  /** whether the traffic pauses from before the fault until its end */
  readonly quiet?: true
  /** slow calls that the server is executing when the fault comes */
  readonly inFlight?: { readonly seconds: number; readonly idempotent: ReadonlyArray<boolean> }
  /** puts it in force; returns the mark, `performance.now()` of when it first had an effect */
  readonly inject: Effect.Effect<number, unknown>
  /** what shows that the backend has noticed */
  readonly sign: Sign
  /** what must be seen after that, one after the other, before the fault ends, and how long it then still lasts */
  readonly until?: ReadonlyArray<Sign>
  readonly lasts?: Duration.Duration
  /** ends the fault; without it, it ended by itself at its mark */
  readonly end?: Effect.Effect<void, unknown>
  /** what shows that all is well again; default: a call that ends as ok */
  readonly recovery?: Sign
  /** looks at the server afterwards; returns what is wrong */
  readonly look?: Effect.Effect<ReadonlyArray<string>>
  readonly expectation: Expectation
}

/** What a loaded machine may add to a bound. */
const slack = Duration.seconds(1.5)

const plus = (...parts: ReadonlyArray<Duration.Duration>): Duration.Duration =>
  parts.reduce((sum, part) => Duration.sum(sum, part), slack)

/** Something that the next call meets. */
const atNextCall = plus(spacing)

/** Until a lost session is replaced once the server is there: the longest wait for an attempt, and the attempt. */
const untilReplaced = ({ policy: { circuit, connectTimeout } }: Place): Duration.Duration => {
  const openFor = typeof circuit === "object" && "cap" in circuit.openFor ? circuit.openFor.cap : Duration.zero
  return plus(openFor, connectTimeout)
}

/** Nothing but `ok`. */
const allOk = { ok: "some", failed: 0, unknown: 0, rejected: 0 } as const
/** What may come of calls while nothing is there. */
const outage = { ok: "some", failed: "any", unknown: "any", rejected: "any" } as const

const now = Effect.sync(() => performance.now())

/** Puts a fault of the proxy in force, and waits for its first strike. */
const struck = ({ proxy }: Place, fault: Fault.Fault) =>
  Effect.gen(function* () {
    const injected = yield* proxy.inject(fault)
    return (yield* injected.struck).at
  })

/** Every fault, in the order in which each backend meets its own. */
export const make = ({ credentials, effectMcp, everything, mcpProxy, scripted, supergateway }: World) => {
  const grant = (token: string) => Effect.sync(() => credentials.set("scripted", Redacted.make(token)))
  const demand = (authorization: string) =>
    Effect.map(scripted.server.control({ _tag: "Configure", behaviour: { authorization } }), () => performance.now())

  /** The server comes back without its sessions, and nobody called meanwhile. */
  const restarted = (place: Place): Played => ({
    name: `restarted, stale session is ${place.server.traits.staleSession}`,
    place,
    quiet: true,
    inject: Effect.andThen(place.server.restart, now),
    sign: Journal.closes("session_lost"),
    expectation: {
      detectedWithin: plus(bounds(place).firstMiss),
      recoveredWithin: untilReplaced(place),
      states: ["Connected", "Connecting", "Connected"],
      closedFor: ["session_lost"],
      // The call that the server refuses is sent again on the new session. Another one whose refusal is still under way
      // when the session ends cannot be told from one that was executed.
      calls: { ...allOk, unknown: "any" },
      because: "session_lost"
    }
  })

  return [
    restarted(everything),
    {
      name: "killed in the middle of calls",
      place: everything,
      inFlight: { seconds: 2, idempotent: [false, true] },
      inject: Effect.flatMap(now, (mark) => Effect.as(everything.server.kill, mark)),
      sign: Journal.callEnds("unknown"),
      until: [Journal.leaves("Connected")],
      end: everything.server.start,
      expectation: {
        detectedWithin: slack,
        recoveredWithin: untilReplaced(everything),
        states: ["Connected", "Unhealthy", "Connecting", "Connected"],
        closedFor: ["reset", "refused", "session_lost"],
        calls: { ...outage, unknown: "some" },
        executedAgain: "any"
      }
    },
    {
      name: "answer streams cut in the middle",
      place: supergateway,
      quiet: true,
      inFlight: { seconds: 1.5, idempotent: [false, false, true] },
      inject: struck(supergateway, Fault.CutMidChunk({ on: { method: "POST", rpc: "tools/call" }, times: 3 })),
      sign: Journal.callEnds("unknown", "stream_cut"),
      end: supergateway.proxy.heal,
      expectation: {
        detectedWithin: slack,
        recoveredWithin: plus(Duration.seconds(1.5)),
        states: ["Connected"],
        closedFor: [],
        calls: { ok: "some", failed: 0, unknown: 2, rejected: 0 },
        because: "stream_cut",
        executedAgain: 1
      }
    },
    {
      name: "server frozen",
      place: supergateway,
      inject: Effect.flatMap(now, (mark) => Effect.as(supergateway.server.freeze, mark)),
      sign: Journal.leaves("Connected"),
      until: [Journal.closes("timeout")],
      lasts: Duration.seconds(1),
      end: supergateway.server.thaw,
      expectation: {
        detectedWithin: plus(bounds(supergateway).firstMiss),
        givenUpWithin: plus(bounds(supergateway).death),
        recoveredWithin: untilReplaced(supergateway),
        states: ["Connected", "Unhealthy", "Connecting", "Connected"],
        closedFor: ["timeout"],
        calls: { ...outage, unknown: "some" },
        executedAgain: "any"
      }
    },
    {
      name: "server behind the gateway killed",
      place: mcpProxy,
      inject: Effect.flatMap(now, (mark) => Effect.as(mcpProxy.server.killBackend, mark)),
      sign: Journal.leaves("Connected"),
      until: [Journal.reaches("CircuitOpen")],
      end: mcpProxy.server.restart,
      expectation: {
        detectedWithin: atNextCall,
        recoveredWithin: untilReplaced(mcpProxy),
        states: ["Connected", "Unhealthy", "Connecting", "Disconnected", "CircuitOpen", "Connecting", "Connected"],
        closedFor: ["upstream"],
        calls: { ...outage, failed: "some", rejected: "some" },
        executedAgain: "any"
      }
    },
    {
      name: "everything silently dropped",
      place: mcpProxy,
      inject: struck(mcpProxy, Fault.SilentDrop()),
      sign: Journal.leaves("Connected"),
      until: [Journal.closes("timeout")],
      lasts: Duration.seconds(1),
      end: mcpProxy.proxy.heal,
      expectation: {
        detectedWithin: plus(bounds(mcpProxy).firstMiss),
        givenUpWithin: plus(bounds(mcpProxy).death),
        recoveredWithin: untilReplaced(mcpProxy),
        states: ["Connected", "Unhealthy", "Connecting", "Connected"],
        closedFor: ["timeout"],
        calls: { ...outage, unknown: "some" },
        executedAgain: "any"
      }
    },
    restarted(effectMcp),
    {
      name: "429 with Retry-After",
      place: effectMcp,
      inject: struck(
        effectMcp,
        Fault.Answer({ on: { method: "POST" }, status: 429, headers: { "retry-after": "1" }, body: "" })
      ),
      sign: Journal.callEnds("failed", "busy"),
      lasts: Duration.seconds(2.5),
      end: effectMcp.proxy.heal,
      expectation: {
        detectedWithin: atNextCall,
        recoveredWithin: atNextCall,
        states: ["Connected"],
        closedFor: [],
        calls: { ok: "some", failed: "some", unknown: 0, rejected: 0 },
        because: "busy"
      }
    },
    {
      name: "refused until the circuit opens",
      place: effectMcp,
      inject: struck(effectMcp, Fault.Refuse()),
      sign: Journal.leaves("Connected"),
      until: [Journal.reaches("CircuitOpen"), Journal.reaches("Connecting"), Journal.reaches("CircuitOpen")],
      lasts: Duration.seconds(0.5),
      end: effectMcp.proxy.heal,
      expectation: {
        detectedWithin: atNextCall,
        recoveredWithin: untilReplaced(effectMcp),
        states: [
          "Connected",
          "Unhealthy",
          "Connecting",
          "Disconnected",
          "CircuitOpen",
          "Connecting",
          "CircuitOpen",
          "Connecting",
          "Connected"
        ],
        closedFor: ["refused", "reset"],
        calls: { ...outage, rejected: "some" },
        executedAgain: "any"
      }
    },
    {
      name: "standing stream cut when idle",
      place: scripted,
      inject: struck(scripted, Fault.IdleCut({ on: { method: "GET" }, after: Duration.seconds(1) })),
      sign: Journal.notices("stream_lost"),
      until: [Journal.notices("stream_restored"), Journal.notices("stream_lost")],
      end: scripted.proxy.heal,
      recovery: Journal.notices("stream_restored"),
      look: Effect.gen(function* () {
        yield* scripted.server.control({ _tag: "Ping" })
        yield* Effect.sleep("300 millis")
        const { pingsAnswered } = yield* scripted.server.stats
        return pingsAnswered > 0 ? [] : ["a ping of the server on the standing stream was not answered"]
      }),
      expectation: {
        detectedWithin: slack,
        recoveredWithin: plus(Duration.seconds(4)),
        states: ["Connected"],
        closedFor: [],
        calls: allOk
      }
    },
    {
      name: "401, new credentials at hand",
      place: scripted,
      inject: Effect.andThen(grant("Bearer second"), demand("Bearer second")),
      sign: Journal.credentialsRead,
      expectation: {
        detectedWithin: atNextCall,
        recoveredWithin: atNextCall,
        states: ["Connected"],
        closedFor: [],
        calls: allOk
      }
    },
    {
      name: "401, credentials revoked",
      place: scripted,
      inject: demand("Bearer third"),
      sign: Journal.reaches("NeedsAuth"),
      lasts: Duration.seconds(1),
      end: Effect.asVoid(grant("Bearer third")),
      expectation: {
        detectedWithin: atNextCall,
        recoveredWithin: untilReplaced(scripted),
        states: ["Connected", "NeedsAuth", "Connecting", "Connected"],
        closedFor: ["auth"],
        calls: { ok: "some", failed: "any", unknown: 0, rejected: "some" }
      }
    }
  ] satisfies ReadonlyArray<Played>
}
