/** What happens to servers that are child processes. */
import { ProcessGroups } from "@vmcp-keepalive/testkit"
import { Duration, Effect } from "effect"
import * as Journal from "./Journal.ts"
import { bounds } from "./Place.ts"
import type { Place } from "./Place.ts"
import { allOk, now, outage, plus, slack, untilReplaced } from "./Played.ts"
import type { Played } from "./Played.ts"
import * as Processes from "./Processes.ts"
import * as Shell from "./Shell.ts"
import * as Traffic from "./Traffic.ts"
import { shutdown } from "./World.ts"
import type { World } from "./World.ts"

/** What a death that the exit status tells may take until it is told. */
const exitSeen = plus(Duration.millis(50))

/** Until the processes of a session have ended, whatever they do, and others are there. */
const untilRestarted = ({ policy: { connectTimeout } }: Place) =>
  plus(shutdown.end, shutdown.term, shutdown.kill, connectTimeout)

/** Every one, in the order in which each backend meets its own. */
export const make = ({ filesystem, scriptedSh }: World): ReadonlyArray<Played> => {
  const tell = (name: string, args: Record<string, unknown>) =>
    Traffic.callTool(scriptedSh, { name, arguments: args }, { idempotent: false })

  return [
    {
      name: "killed while nobody calls",
      place: filesystem,
      quiet: "until noticed",
      inject: Processes.signal(filesystem.server, "leader", "SIGKILL"),
      sign: Journal.closes("process_exit"),
      expectation: {
        detectedWithin: exitSeen,
        recoveredWithin: untilRestarted(filesystem),
        states: ["Connected", "Connecting", "Connected"],
        closedFor: ["process_exit"],
        calls: allOk
      }
    },
    {
      // Nobody thaws it: the backend kills what is frozen.
      name: "server frozen",
      place: filesystem,
      inject: Processes.signal(filesystem.server, "group", "SIGSTOP"),
      sign: Journal.leaves("Connected"),
      expectation: {
        detectedWithin: plus(bounds(filesystem).firstMiss),
        givenUpWithin: plus(bounds(filesystem).death),
        recoveredWithin: plus(bounds(filesystem).death, untilRestarted(filesystem)),
        states: ["Connected", "Unhealthy", "Connecting", "Connected"],
        closedFor: ["timeout"],
        calls: { ...outage, failed: 0, unknown: "some", rejected: 0 },
        because: "timeout",
        executedAgain: "any"
      }
    },
    {
      // The shell outlives the server by a moment, and is no reason to believe that it lives.
      name: "killed in the middle of calls",
      place: scriptedSh,
      inFlight: [false, true].map((idempotent) => ({ slow: scriptedSh.server.slow, seconds: 2, idempotent })),
      inject: Processes.signal(scriptedSh.server, "followers", "SIGKILL"),
      sign: Journal.callEnds("unknown", "process_exit"),
      expectation: {
        detectedWithin: exitSeen,
        recoveredWithin: untilRestarted(scriptedSh),
        states: ["Connected", "Connecting", "Connected"],
        closedFor: ["process_exit"],
        calls: { ...allOk, unknown: "some" },
        because: "process_exit",
        told: { reason: "process_exit", summary: "exit code 137" },
        executedAgain: "some"
      }
    },
    {
      name: "garbage on stdout",
      place: scriptedSh,
      inFlight: [{ slow: scriptedSh.server.slow, seconds: 0.5, idempotent: false }],
      inject: Effect.tap(now, () => tell("garbage", { lines: 500 })),
      sign: Journal.notices("garbage"),
      expectation: {
        detectedWithin: slack,
        recoveredWithin: slack,
        states: ["Connected"],
        closedFor: [],
        calls: allOk
      }
    },
    {
      // The leader dies, and what it has started holds its stdout, in its group and out of it.
      name: "grandchildren keep stdout open",
      place: scriptedSh,
      inject: Effect.andThen(
        Effect.forEach(["group", "detached"], (kind) => tell("spawnGrandchild", { kind })),
        Processes.signal(scriptedSh.server, "leader", "SIGKILL")
      ),
      sign: Journal.closes("process_exit"),
      look: Effect.map(scriptedSh.server.grandchildren, (pids) =>
        pids.filter((pid) => ProcessGroups.fdsOf(pid).length > 0).map((pid) => `process ${pid} still holds stdout`)
      ),
      expectation: {
        detectedWithin: exitSeen,
        recoveredWithin: untilRestarted(scriptedSh),
        states: ["Connected", "Connecting", "Connected"],
        closedFor: ["process_exit"],
        calls: { ...allOk, unknown: "any" },
        because: "process_exit",
        executedAgain: "any"
      }
    },
    {
      name: "killed, then exit 1 at start",
      place: scriptedSh,
      inject: Effect.andThen(scriptedSh.server.refuse, Processes.signal(scriptedSh.server, "followers", "SIGKILL")),
      sign: Journal.closes("process_exit"),
      until: [Journal.reaches("CircuitOpen")],
      lasts: Duration.seconds(0.5),
      end: scriptedSh.server.admit,
      expectation: {
        detectedWithin: exitSeen,
        recoveredWithin: untilReplaced(scriptedSh),
        states: ["Connected", "Connecting", "Disconnected", "Connecting", "CircuitOpen", "Connecting", "Connected"],
        closedFor: ["process_exit"],
        calls: { ...outage, failed: 0, rejected: "some" },
        because: "process_exit",
        told: { reason: "process_exit", summary: "exit code 1 during the handshake", line: Shell.complaint },
        executedAgain: "any"
      }
    }
  ]
}
