/**
 * What happens to backends, as log lines: one for every change of state, and none while all is well.
 *
 * | to | level |
 * |---|---|
 * | Connected, Idle, Isolated, Closed | Info |
 * | Connecting | Debug; after a session was lost Warning, after one was closed on purpose Info |
 * | Unhealthy, Disconnected | Warning |
 * | CircuitOpen, NeedsAuth | Error |
 *
 * A line is annotated with `backend_id`, `from`, `to` and what is known of `reason`, `generation`, `failures`,
 * `openings`, `attempt`, `trial`, `held` and `detail`, the transport's own words. Nothing of it comes from a server.
 */
import type { ConnectionState } from "@vmcp-keepalive/core/ConnectionState"
import { reasonOf } from "@vmcp-keepalive/core/ConnectionState"
import type { FailureReason } from "@vmcp-keepalive/core/FailureReason"
import * as KeepaliveEvent from "@vmcp-keepalive/core/KeepaliveEvent"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as LogLevel from "effect/LogLevel"
import * as Expiry from "./internal/expiry.ts"
import * as Settings from "./internal/settings.ts"

// ------------------------------------------------------------------------------------------------------------ models

/**
 * What can be chosen.
 *
 * @since 0.1.0
 */
export interface Options {
  /**
   * For how long a line is written once only: the same change of the same backend for the same reason is counted
   * instead, and told when the time is over, in a line that says so and has `repeated`. Default: 1 minute
   */
  readonly foldFor?: Duration.Input | undefined
}

// ------------------------------------------------------------------------------------------------------------ errors

/** @since 0.1.0 */
export { TelemetryConfigurationError } from "./internal/settings.ts"

// ------------------------------------------------------------------------------------------------------------ layers

/**
 * Logs the changes of every backend made with this layer, with the loggers of the context. When it closes, what was
 * counted and not yet written is. Fails with {@link TelemetryConfigurationError} if `foldFor` is no duration.
 *
 * @since 0.1.0
 */
export const layer = ({ foldFor = "1 minute" }: Options = {}): Layer.Layer<
  never,
  Settings.TelemetryConfigurationError
> =>
  Settings.checked([Settings.duration("foldFor", foldFor)], () =>
    KeepaliveEvent.layerObserver(Effect.suspend(() => make(Duration.fromInputUnsafe(foldFor))))
  )

// -------------------------------------------------------------------------------------------------------------- parts

type StateChanged = Extract<KeepaliveEvent.KeepaliveEvent, { readonly _tag: "StateChanged" }>

interface Line {
  readonly change: StateChanged
  /** why the session ended, where the change ended one */
  ended: FailureReason | undefined
  detail: string | undefined
}

interface Window {
  readonly last: Line
  readonly repeated: number
}

const make = Effect.fnUntraced(function* (foldFor: Duration.Duration) {
  const context = yield* Effect.context<never>()
  // a logger that throws is its owner's defect, and no reason to write nothing more
  const write = (line: Line, repeated: number) =>
    Effect.runSyncWith(context)(Effect.ignoreCause(lineOf(line, repeated)))

  /** what was written less than `foldFor` ago */
  const windows = new Map<string, Window>()
  const expiry = yield* Expiry.make(foldFor, (key) => {
    const window = windows.get(key)
    windows.delete(key)
    if (window === undefined || window.repeated === 0) return
    // this line begins the next window, so that there is one line a window and not two
    windows.set(key, { last: window.last, repeated: 0 })
    expiry.set(key)
    write(window.last, window.repeated)
  })
  const settle = (line: Line) => {
    const key = keyOf(line)
    const window = windows.get(key)
    windows.set(key, { last: line, repeated: window === undefined ? 0 : window.repeated + 1 })
    if (window !== undefined) return
    expiry.set(key)
    write(line, 0)
  }

  /** changes that ended a session: how it ended is told right after them */
  const held = new Map<string, Line>()
  const release = (backend: string) => {
    const line = held.get(backend)
    if (line === undefined) return
    held.delete(backend)
    settle(line)
  }
  const releaseAll = () => {
    for (const backend of held.keys()) release(backend)
  }
  /** what the transport said of the attempt that failed last */
  const details = new Map<string, string>()
  let closed = false

  const observe: KeepaliveEvent.Observer = (event) => {
    if (closed) return
    const { backend } = event
    switch (event._tag) {
      case "AttemptFailed":
        if (event.detail === undefined) details.delete(backend)
        else details.set(backend, event.detail)
        return
      case "SessionDraining":
      case "SessionClosed": {
        const line = held.get(backend)
        if (line !== undefined) {
          line.ended = event.reason
          line.detail = event._tag === "SessionClosed" ? event.detail : undefined
        }
        return release(backend)
      }
      case "StateChanged": {
        release(backend)
        const detail = event.from._tag === "Connecting" ? details.get(backend) : undefined
        details.delete(backend)
        const line: Line = { change: event, ended: undefined, detail }
        if (!isOpen(event.from) || isOpen(event.to)) return settle(line)
        if (held.size === 0) queueMicrotask(releaseAll)
        held.set(backend, line)
      }
    }
  }
  yield* Effect.addFinalizer(() =>
    Effect.sync(() => {
      closed = true
      releaseAll()
      for (const { last, repeated } of windows.values()) if (repeated > 0) write(last, repeated)
      windows.clear()
    })
  )
  return observe
})

const isOpen = (state: ConnectionState) => state._tag === "Connected" || state._tag === "Unhealthy"

const reason = ({ change, ended }: Line) => reasonOf(change.to) ?? ended

const keyOf = (line: Line) => {
  const { backend, from, to } = line.change
  return `${from._tag} ${to._tag} ${reason(line)} ${backend}`
}

const levelOf = ({ change: { from, to }, ended }: Line): LogLevel.Severity => {
  switch (to._tag) {
    case "Connected":
    case "Idle":
    case "Isolated":
    case "Closed":
      return "Info"
    case "Connecting":
      return isOpen(from) ? (ended === "closed" ? "Info" : "Warn") : "Debug"
    case "Unhealthy":
    case "Disconnected":
      return "Warn"
    case "CircuitOpen":
    case "NeedsAuth":
      return "Error"
  }
}

const lineOf = (line: Line, repeated: number) => {
  const { backend, from, to } = line.change
  const { _tag, since: _, ...known } = to
  // a sum comes late, so it must not read as if it were the news
  const count = repeated === 0 ? "" : ` (${repeated} more ${repeated === 1 ? "time" : "times"})`
  return Effect.logWithLevel(levelOf(line))(`${backend}: ${from._tag} -> ${to._tag}${count}`).pipe(
    Effect.annotateLogs(
      present({
        backend_id: backend,
        from: from._tag,
        to: _tag,
        ...known,
        nextAttemptAt: undefined,
        reason: reason(line),
        detail: line.detail,
        repeated: repeated > 0 ? repeated : undefined
      })
    )
  )
}

const present = (record: Readonly<Record<string, unknown>>) =>
  Object.fromEntries(Object.entries(record).filter(([, value]) => value !== undefined))
