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
const heights = { ok: 6, off: 3, warn: 12, bad: 18 }

/** A strip without content. */
export const make = () =>
  svg("svg", { class: "strip", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", role: "img" })

/** Draws it as it is now. */
export const draw = (strip, row) => {
  const end = Time.now()
  const x = (at) => Math.max(0, ((at - end + span) / span) * width)
  const parts = []
  let left = 0
  for (const [index, { at, state }] of row.strip.entries()) {
    const next = row.strip[index + 1]
    const from = x(at)
    const to = Math.min(width, next === undefined ? width : x(next.at))
    if (to <= 0 || from >= width) continue
    const tone = tones[state] ?? "off"
    if (tone === "bad" || tone === "warn") left++
    const tall = heights[tone]
    parts.push(
      svg("rect", {
        class: tone,
        x: from.toFixed(2),
        y: height - 1 - tall,
        width: Math.max(1, to - from).toFixed(2),
        height: tall
      })
    )
  }
  for (const { at } of row.marks)
    if (at > end - span)
      parts.push(svg("rect", { class: "mark", x: Math.min(width - 1.5, x(at)).toFixed(2), y: 0, width: 1.5, height }))
  strip.replaceChildren(...parts)
  const label =
    left === 0
      ? "Last five minutes: no trouble"
      : `Last five minutes: ${left} ${left === 1 ? "stretch" : "stretches"} of trouble`
  if (strip.getAttribute("aria-label") !== label) strip.setAttribute("aria-label", label)
}
