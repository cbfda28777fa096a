/** How a long start goes on: who is there, and who is waited for. */
import type { ConnectionState, Fleet } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import { plain } from "./style.ts"

/** Who is named; of the others there is a number. */
const maxNames = 3

/** `3 of 7 connected, waiting for github, browser`; `undefined` once there is nobody to wait for. */
export const lineOf = (states: ReadonlyMap<string, ConnectionState.ConnectionState>): string | undefined => {
  const waiting = [...states].flatMap(([id, { _tag }]) =>
    _tag === "Connecting" || _tag === "Disconnected" ? [id] : []
  )
  if (waiting.length === 0) return undefined
  const connected = [...states.values()].filter(({ _tag }) => _tag === "Connected" || _tag === "Unhealthy").length
  const names = waiting.slice(0, maxNames).map(plain).join(", ")
  const more = waiting.length > maxNames ? ` and ${waiting.length - maxNames} more` : ""
  return `${connected} of ${states.size} connected, waiting for ${names}${more}`
}

/** Tells it every few seconds where it changed, until there is nobody to wait for, and for two minutes at most. */
export const tell = (fleet: Pick<Fleet.Fleet<unknown>, "states">, say: (line: string) => void): Effect.Effect<void> => {
  let told: string | undefined
  const step = Effect.map(Effect.delay(fleet.states, "2 seconds"), (states) => {
    const line = lineOf(states)
    if (line !== undefined && line !== told) say(line)
    told = line
    return line === undefined
  })
  return Effect.gen(function* () {
    while (!(yield* step)) continue
  }).pipe(Effect.timeoutOption("2 minutes"), Effect.asVoid)
}
