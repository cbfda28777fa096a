/** The states of the last five minutes, as a strip whose right end is now; with marks above what happened from outside. */
import { svg } from "./dom.js"
import * as Time from "./time.js"

const span = 300_000
const width = 150
const height = 20

const tones = {
  Connected: "ok",
  Unhealthy: "warn",
  Connecting: "warn",
  Disconnected: "bad",
  CircuitOpen: "bad",
  NeedsAuth: "bad",
  Isolated: "off",
  Idle: "off",
  Closed: "off"
}
/** Bad ones are tall and good ones low, so that colour is not needed to tell them apart. */
const heights = { ok: 6, off: 3, warn: 11, bad: 16 }

/** A strip without content. */
export const make = () =>
  svg("svg", { class: "strip", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" })

/** Stretches of one tone: states that look alike are one. */
const stretches = (segments) => {
  const found = []
  for (const { at, state } of segments) {
    const tone = tones[state] ?? "off"
    if (found.at(-1)?.tone !== tone) found.push({ at, tone })
  }
  return found
}

/** Draws it as it is now. */
export const draw = (strip, row) => {
  const end = Time.now()
  const x = (at) => Math.min(width, Math.max(0, ((at - end + span) / span) * width))
  const found = stretches(row.strip)
  const parts = []
  let troubles = 0
  for (const [index, { at, tone }] of found.entries()) {
    const from = x(at)
    const to = x(found[index + 1]?.at ?? end)
    if (to <= from) continue
    if (tone === "bad") troubles++
    const tall = heights[tone]
    parts.push(
      svg("rect", {
        class: tone,
        x: from.toFixed(2),
        y: height - tall,
        width: Math.max(1, to - from).toFixed(2),
        height: tall
      })
    )
  }
  for (const { at, label } of row.marks)
    if (at > end - span) {
      const mark = { class: "mark", x: Math.min(width - 1.5, x(at)).toFixed(2), y: 0, width: 1.5, height }
      parts.push(svg("rect", mark, svg("title", {}, label)))
    }
  strip.replaceChildren(...parts)
  const label = `Last five minutes: ${troubles === 0 ? "no outage" : troubles === 1 ? "one outage" : `${troubles} outages`}`
  if (strip.getAttribute("aria-label") !== label) strip.setAttribute("aria-label", label)
}
