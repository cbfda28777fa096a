/** The table of backends. Rows are made once and written to where something changed; the clocks of those that are seen tick. */
import { el, shape, write } from "./dom.js"
import * as Strip from "./strip.js"
import * as Time from "./time.js"

export const commands = [
  ["probe", "Probe"],
  ["reconnect", "Reconnect"],
  ["isolate", "Isolate"],
  ["reset", "Reset"]
]

/** Buttons for the commands, at fixed places: those that are not possible now are there and say so. */
export const commandButtons = (id) =>
  commands.map(([command, label]) =>
    el("button", { type: "button", "data-command": command, "aria-label": `${label} ${id}` }, label)
  )

/** Says which of them are possible, and which is suggested. */
export const allow = (buttons, row) => {
  for (const button of buttons) {
    const command = button.dataset.command
    button.setAttribute("aria-disabled", String(!row.commands.includes(command)))
    button.toggleAttribute("data-suggested", row.action?.command === command)
  }
}

const plural = (count, one) => `${count} ${count === 1 ? one : `${one}s`}`

const cell = (name, ...children) => el("span", { role: "cell", class: name }, ...children)

const make = (id) => {
  const name = el("button", { type: "button", class: "name", "data-details": true, "aria-haspopup": "dialog" }, id)
  const about = el("span", { class: "sub" })
  const state = el("span", { class: "state" })
  const since = el("span", { class: "sub" })
  const strip = Strip.make()
  const latency = el("span", { class: "main" })
  const traffic = el("span", { class: "sub" })
  const next = cell("next number")
  const why = el("span", { class: "why" })
  const action = el("span", { class: "todo" })
  const buttons = commandButtons(id)
  const element = el(
    "div",
    { role: "row", class: "row" },
    cell("who", name, about),
    cell("how", state, since),
    cell("past", strip),
    cell("latency number", latency, traffic),
    next,
    cell("cause", why, action),
    cell("acts", ...buttons)
  )
  element.dataset.id = id
  return { element, name, about, state, since, strip, latency, traffic, next, why, action, buttons, row: undefined }
}

const fill = (line, row) => {
  const before = line.row
  line.row = row
  const { element } = line
  element.dataset.tone = row.tone
  if (before?.state !== row.state) {
    line.state.replaceChildren(shape(row.state), el("span", {}, row.word))
    allow(line.buttons, row)
  } else if (before?.action?.command !== row.action?.command) allow(line.buttons, row)
  write(
    line.about,
    [
      row.kind,
      row.tools > 0 ? plural(row.tools, "tool") : "",
      row.required ? "required" : "",
      row.owner === undefined ? "" : row.owner === null ? "kept by none" : `on ${row.owner}`
    ]
      .filter((part) => part !== "")
      .join(" · ")
  )
  write(line.latency, row.latency === null ? "–" : Time.latency(row.latency))
  const traffic = [
    row.inFlight > 0 ? `${row.inFlight} in flight` : "",
    row.calls > 0 ? plural(row.calls, "call") : "",
    row.failed > 0 ? `${row.failed} failed` : ""
  ].filter((part) => part !== "")
  write(line.traffic, traffic.join(", "))
  write(line.why, row.why)
  write(line.action, row.action?.text ?? "")
  tick(line)
  Strip.draw(line.strip, row)
}

const tick = ({ next, row, since }) => {
  write(since, `for ${Time.span(Time.now() - row.since)}`)
  write(next, row.nextAttemptAt === null ? "–" : Time.until(row.nextAttemptAt))
}

/** The rows in that element, which is empty. */
export const table = (rows) => {
  const lines = new Map()
  const seen = new Set()
  let matches = () => true

  const observer = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      const line = lines.get(target.dataset.id)
      if (line === undefined) continue
      if (!isIntersecting) {
        seen.delete(line)
        continue
      }
      seen.add(line)
      tick(line)
      Strip.draw(line.strip, line.row)
    }
  })

  const take = (changed) => {
    for (const row of changed) {
      let line = lines.get(row.id)
      if (line === undefined) {
        line = make(row.id)
        lines.set(row.id, line)
      }
      fill(line, row)
      line.element.hidden = !matches(row)
    }
  }

  /** Makes the rows those, in that order, and leaves alone what is right already: a row that is moved loses its focus. */
  const arrange = (order) => {
    const wanted = new Set(order)
    for (const [id, line] of lines)
      if (!wanted.has(id)) {
        observer.unobserve(line.element)
        seen.delete(line)
        line.element.remove()
        lines.delete(id)
      }
    let at = rows.firstChild
    for (const id of order) {
      const line = lines.get(id)
      if (line === undefined) continue
      if (line.element === at) at = at.nextSibling
      else {
        rows.insertBefore(line.element, at)
        observer.observe(line.element)
      }
    }
  }

  return {
    take,
    arrange,
    filter: (predicate) => {
      matches = predicate
      let shown = 0
      for (const { element, row } of lines.values()) {
        element.hidden = !matches(row)
        if (!element.hidden) shown++
      }
      return shown
    },
    tick: () => {
      for (const line of seen) tick(line)
    },
    redraw: () => {
      for (const line of seen) Strip.draw(line.strip, line.row)
    },
    get: (id) => lines.get(id)?.row,
    all: () => [...lines.values()].map(({ row }) => row)
  }
}
