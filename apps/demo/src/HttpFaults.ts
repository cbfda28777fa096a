/** What happens to servers over HTTP, and to the network before them. */
import { Fault, type McpServer } from "@vmcp-keepalive/testkit"
import { Duration, Effect, Redacted } from "effect"
import * as Journal from "./Journal.ts"
import { bounds } from "./Place.ts"
import type { ProxiedPlace } from "./Place.ts"
import { allOk, atNextCall, now, outage, plus, slack, untilReplaced } from "./Played.ts"
import type { Played } from "./Played.ts"
import type { World } from "./World.ts"

/** Puts a fault of the proxy in force, and waits for its first strike. */
const struck = ({ proxy }: ProxiedPlace, fault: Fault.Fault) =>
  Effect.gen(function* () {
    const injected = yield* proxy.inject(fault)
    return (yield* injected.struck).at
  })

/** Every one, in the order in which each backend meets its own. */
export const make = ({
  credentials,
  effectMcp,
  everything,
  mcpProxy,
  scripted,
  sdk2,
  supergateway
}: World): ReadonlyArray<Played> => {
  const grant = (token: string) => Effect.sync(() => credentials.set("scripted", Redacted.make(token)))
  const demand = (authorization: string) =>
    Effect.map(scripted.server.control({ _tag: "Configure", behaviour: { authorization } }), () => performance.now())

  /** The server comes back without its sessions, and nobody called meanwhile. */
  const restarted = (place: ProxiedPlace): Played => ({
    name: `restarted, stale session is ${place.server.traits.staleSession}`,
    place,
    quiet: "until over",
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

  /** Another server takes its place, of another era, and nobody called meanwhile. */
  const becomes = (era: McpServer.ServerOfAnEra["era"], name: string): Played => ({
    name,
    place: sdk2,
    quiet: "until over",
    inject: Effect.andThen(sdk2.server.become(era), now),
    sign: Journal.closes("session_lost"),
    expectation: {
      detectedWithin: plus(bounds(sdk2).firstMiss),
      recoveredWithin: untilReplaced(sdk2),
      states: ["Connected", "Connecting", "Connected"],
      closedFor: ["session_lost"],
      calls: { ...allOk, unknown: "any" },
      because: "session_lost"
    }
  })

  return [
    restarted(everything),
    {
      name: "killed in the middle of calls",
      place: everything,
      inFlight: [false, true].map((idempotent) => ({ slow: everything.server.slow, seconds: 2, idempotent })),
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
      quiet: "until over",
      inFlight: [false, false, true].map((idempotent) => ({
        slow: supergateway.server.slow,
        seconds: 1.5,
        idempotent
      })),
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
      name: "killed in the middle of calls, 2026-07-28",
      place: sdk2,
      inFlight: [false, true].map((idempotent) => ({ slow: sdk2.server.slow, seconds: 2, idempotent })),
      inject: Effect.flatMap(now, (mark) => Effect.as(sdk2.server.kill, mark)),
      sign: Journal.callEnds("unknown"),
      until: [Journal.leaves("Connected")],
      end: sdk2.server.start,
      expectation: {
        detectedWithin: slack,
        recoveredWithin: untilReplaced(sdk2),
        states: ["Connected", "Unhealthy", "Connected"],
        closedFor: [],
        calls: { ...outage, unknown: "some" },
        executedAgain: "any"
      }
    },
    becomes("legacy", "becomes one of 2025-11-25 behind its URL"),
    becomes("dual", "becomes one of both eras, which ignores its sessions"),
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
        // A call whose refusal is still under way when the session ends cannot be told from one that was executed.
        calls: { ok: "some", failed: "any", unknown: "any", rejected: "some" },
        because: "auth"
      }
    }
  ]
}
