/** Times as people read them. The gateway's clock decides, since this machine's may be another one. */

let ahead = 0
let stopped

/** The gateway says what time it is there. */
export const adjust = (at) => {
  ahead = at - Date.now()
}

/** The time at the gateway; while the connection to it is lost, that of the loss. */
export const now = () => stopped ?? Date.now() + ahead

/** Nothing is known from now on. */
export const stop = () => {
  stopped ??= now()
}

/** It is known again. */
export const go = () => {
  stopped = undefined
}

/** A span of milliseconds, in its largest unit, or its two largest from an hour on. */
export const span = (ms) => {
  const seconds = Math.max(0, Math.floor(ms / 1000))
  if (seconds < 60) return `${seconds} s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`
  return `${Math.floor(hours / 24)} d ${hours % 24} h`
}

/** Until then. */
export const until = (at) => {
  const ms = at - now()
  if (ms <= 0) return "now"
  return ms < 60_000
    ? `in ${Math.ceil(ms / 1000)} s`
    : `in ${Math.floor(ms / 60_000)}:${String(Math.ceil((ms % 60_000) / 1000) % 60).padStart(2, "0")}`
}

/** A duration of a probe. */
export const latency = (ms) =>
  ms < 10 ? `${ms.toFixed(1)} ms` : ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`

const clockFormat = new Intl.DateTimeFormat(undefined, {
  hour: "2-digit",
  minute: "2-digit",
  second: "2-digit",
  hour12: false
})

/** The time of day. */
export const clock = (at) => clockFormat.format(at)
