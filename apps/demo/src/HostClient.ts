/**
 * One MCP client of the gateway, as a host is one: it connects once, over HTTP, and calls a tool of every backend all the time, whatever
 * becomes of them. It is the SDK's client, which never opens another session by itself.
 */
import { Client } from "@modelcontextprotocol/sdk/client/index.js"
import { StreamableHTTPClientTransport } from "@modelcontextprotocol/sdk/client/streamableHttp.js"
import type { Transport } from "@modelcontextprotocol/sdk/shared/transport.js"
import { McpError } from "@modelcontextprotocol/sdk/types.js"
import { ErrorAnswer } from "@vmcp-keepalive/host"
import { Duration, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import { longestCall } from "./Expectation.ts"
import type { Call } from "./Journal.ts"
import type { Place } from "./Place.ts"
import { keyOf } from "./Traffic.ts"

/** What came of it. */
export interface Seen {
  readonly calls: ReadonlyArray<Call>
  /** what no host should meet, in words */
  readonly wrong: ReadonlyArray<string>
}

export interface HostClient {
  /** Does not call that backend until `resume`; returns when what was called has settled. */
  readonly pause: (id: string) => Effect.Effect<void>
  readonly resume: (id: string) => Effect.Effect<void>
  /** Calls every backend a last time, which must end well, and no more. */
  readonly finish: Effect.Effect<Seen>
}

/** Time from the end of one call of a backend to the next. */
const spacing = "1 second"
/** A call that takes longer did not settle. */
const patience = Duration.toMillis(Duration.sum(longestCall, Duration.seconds(1)))
/** How long it waits for the tools of all backends to be listed. */
const listed = "20 seconds"

/** Connects, and begins to call as soon as the tools are listed; ends with the scope. */
export const make = (mcp: string, places: ReadonlyArray<Place>): Effect.Effect<HostClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const transport = new StreamableHTTPClientTransport(new URL(mcp))
    const client = yield* Effect.acquireRelease(
      Effect.promise(async () => {
        const client = new Client({ name: "vmcp-keepalive-demo", version: "1.0.0" })
        await client.connect(transport as Transport)
        return client
      }),
      (client) => Effect.promise(() => client.close())
    )
    const session = transport.sessionId
    const calls: Array<Call> = []
    const wrong: Array<string> = []
    const paused = new Set<string>()
    const busy = new Set<string>()
    let isFinished = false

    const call = (place: Place): Effect.Effect<Call> =>
      Effect.promise(async () => {
        const tool = place.server.echo(`client ${place.id} ${calls.length}`)
        const call: Call = {
          backend: place.id,
          key: keyOf(tool.name, tool.arguments),
          idempotent: false,
          startedAt: performance.now()
        }
        calls.push(call)
        busy.add(place.id)
        const shown = { ...tool, name: shownAs(place.id, tool.name) }
        try {
          const { _meta, isError } = await client.callTool(shown, undefined, { timeout: patience })
          const told = isError === true ? ErrorAnswer.dataOf({ data: _meta?.["vmcp-keepalive"] }) : undefined
          call.outcome = told === undefined ? "ok" : outcomes[told.error]
          call.reason = told?.reason
          call.endedAt = performance.now()
        } catch (error) {
          if (error instanceof McpError) {
            // the server's own words; one that did not settle has no outcome
            if (!error.message.includes("Request timed out")) {
              call.outcome = "failed"
              call.endedAt = performance.now()
            }
          } else wrong.push(`a request to the gateway failed: ${error instanceof Error ? error.name : "unknown"}`)
        } finally {
          busy.delete(place.id)
        }
        return call
      })

    const areListed = Effect.promise(async () => {
      const { tools } = await client.listTools()
      const names = new Set(tools.map(({ name }) => name))
      return places.every(({ id, server }) => names.has(shownAs(id, server.echo("").name)))
    }).pipe(
      Effect.repeat({ schedule: Schedule.spaced("200 millis"), until: (are) => are }),
      Effect.timeoutOption(listed)
    )

    const calling = (place: Place) =>
      Effect.suspend(() => (paused.has(place.id) ? Effect.void : call(place))).pipe(
        Effect.repeat(Schedule.spaced(spacing))
      )
    yield* areListed.pipe(
      Effect.andThen(Effect.forEach(places, calling, { concurrency: "unbounded" })),
      Effect.forkScoped
    )

    const pause = (id: string) =>
      Effect.suspend(() => {
        paused.add(id)
        return Effect.sync(() => !busy.has(id)).pipe(
          Effect.repeat({ schedule: Schedule.spaced("10 millis"), until: (isIdle) => isIdle }),
          Effect.asVoid
        )
      })
    return {
      pause,
      resume: (id) =>
        Effect.sync(() => {
          if (!isFinished) paused.delete(id)
        }),
      finish: Effect.gen(function* () {
        isFinished = true
        yield* Effect.forEach(places, ({ id }) => pause(id), { concurrency: "unbounded" })
        const last = yield* Effect.forEach(places, call, { concurrency: "unbounded" })
        for (const { backend, outcome } of last)
          if (outcome !== "ok") wrong.push(`the last call to ${backend} ended as ${outcome ?? "nothing"}`)
        if (session === undefined || transport.sessionId !== session)
          wrong.push("its session is another one than at first")
        return { calls, wrong }
      })
    }
  })

/** As the gateway names tools. */
const shownAs = (backend: string, tool: string): string => `${backend}__${tool}`

const outcomes = {
  SessionUnavailable: "rejected",
  CallRejected: "rejected",
  OutcomeUnknown: "unknown",
  CallFailed: "failed"
} as const
