/** What `serve` says of itself while it runs: a line for each change of a backend's state, or one JSON object a line. */
import { KeepaliveEvent } from "@vmcp-keepalive/core"
import { KeepaliveLog } from "@vmcp-keepalive/otel"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import type * as LogLevel from "effect/LogLevel"
import * as References from "effect/References"
import * as Schema from "effect/Schema"
import { plain, type Style } from "./style.ts"

export interface Options {
  readonly json: boolean
  readonly style: Style
  /** takes one line */
  readonly write: (line: string) => void
}

/** What is logged by whom it is provided to, and what happens to the backends that are made with it. */
export const layer = ({ json, style, write }: Options): Layer.Layer<never> => {
  const logger = Logger.layer([
    json
      ? Logger.map(Logger.formatJson, (line) => write(line))
      : Logger.make((options) => write(lineOf(options, style)))
  ])
  return Layer.provideMerge(json ? events(write) : Layer.orDie(KeepaliveLog.layer()), logger)
}

/** Calls and probes are what metrics count: a line for each would be all that there is. */
const silent: ReadonlySet<KeepaliveEvent.KeepaliveEvent["_tag"]> = new Set([
  "CallDequeued",
  "CallQueued",
  "CallSettled",
  "CallStarted",
  "ProbeSent",
  "ProbeSucceeded",
  "ProbeSuppressed"
])

const events = (write: (line: string) => void): Layer.Layer<never> => {
  const encode = Schema.encodeSync(KeepaliveEvent.Json)
  return KeepaliveEvent.layerObserver((event) => {
    if (!silent.has(event._tag)) write(JSON.stringify(encode(event)))
  })
}

// -------------------------------------------------------------------------------------------------------------- lines

const words: Readonly<Record<LogLevel.LogLevel, string>> = {
  All: "all  ",
  Trace: "trace",
  Debug: "debug",
  Info: "info ",
  Warn: "warn ",
  Error: "error",
  Fatal: "fatal",
  None: "     "
}

/** `12:04:05 warn  github: Connected -> Disconnected  reason=reset generation=3`. */
const lineOf = ({ cause, date, fiber, logLevel, message }: Logger.Options<unknown>, style: Style): string => {
  const time = date.toTimeString().slice(0, 8)
  const parts = Array.isArray(message) ? message : [message]
  const annotations = Object.entries(fiber.getRef(References.CurrentLogAnnotations))
    .filter(([key]) => !saidAlready.has(key))
    .map(
      ([key, value]) => `${key}=${typeof value === "string" && /[\s"=]/.test(value) ? JSON.stringify(value) : value}`
    )
  const text = parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" ")
  const failed = cause.reasons.length === 0 ? "" : ` ${cause.toString()}`
  return [
    style.dim(time),
    stressed(logLevel, style)(words[logLevel]),
    plain(text + failed),
    ...(annotations.length === 0 ? [] : [style.dim(` ${plain(annotations.join(" "))}`)])
  ].join(" ")
}

/** What the words of a line of `KeepaliveLog` have said. */
const saidAlready: ReadonlySet<string> = new Set(["backend_id", "from", "to"])

const stressed = (level: LogLevel.LogLevel, style: Style) =>
  level === "Warn" ? style.warn : level === "Error" || level === "Fatal" ? style.bad : style.dim
