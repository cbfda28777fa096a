/** The details of one backend: what it lists, what happened to it, what its server wrote at last. */
import { allow, commandButtons } from "./backends.js"
import { byId, el, shape, write } from "./dom.js"
import * as Operator from "./operator.js"
import * as Strip from "./strip.js"
import * as Time from "./time.js"

/** how long changes are gathered before the details are read again */
const gathering = 300

const list = (title, names) =>
  names.length === 0
    ? ""
    : el(
        "details",
        {},
        el("summary", {}, `${title} (${names.length})`),
        el("ul", { class: "names" }, ...names.map((name) => el("li", {}, name)))
      )

/** The buttons of the program that the gateway is part of, and why those that cannot be pressed cannot. */
const extras = ({ buttons, buttonsTitle }) => {
  const reasons = [...new Set(buttons.flatMap(({ disabled }) => disabled ?? []))]
  const idOf = (reason) => `extra-reason-${reasons.indexOf(reason)}`
  return [
    ...(buttons.length === 0 || buttonsTitle === "" ? [] : [el("h3", {}, buttonsTitle)]),
    ...reasons.map((reason) => el("p", { class: "sub", id: idOf(reason) }, reason)),
    el(
      "div",
      { class: "buttons", role: "group", "aria-label": buttonsTitle === "" ? "More" : buttonsTitle },
      ...buttons.map(({ disabled, id: command, label }) => {
        const why = disabled === undefined ? {} : { "aria-disabled": "true", "aria-describedby": idOf(disabled) }
        return el("button", { type: "button", "data-command": command, ...why }, label)
      })
    )
  ]
}

/** A line of what happened. */
export const entry = ({ at, backend, text, tone }, withBackend) =>
  el(
    "li",
    { "data-tone": tone },
    el("time", { datetime: new Date(at).toISOString() }, Time.clock(at)),
    ...(withBackend ? [el("b", {}, backend)] : []),
    el("span", {}, text)
  )

/** Opens and follows details. */
export const details = () => {
  const dialog = byId("details")
  let view
  let timer

  const build = (row) => {
    const title = el("h2", { id: "details-title" }, row.id)
    const close = el(
      "button",
      { type: "button", class: "close", "data-close": true, "aria-label": "Close the details" },
      "Close"
    )
    const state = el("p", { class: "state" })
    const why = el("p", { class: "why" })
    const todo = el("p", { class: "todo" })
    const strip = Strip.make()
    const buttons = commandButtons(row.id)
    const extra = el("div", { class: "extra" })
    const facts = el("dl", {})
    const names = el("div", { class: "lists" })
    const output = el("div", { class: "output" })
    const history = el("ol", { class: "history", tabindex: 0, "aria-label": "History" })
    dialog.replaceChildren(
      el("div", { class: "bar" }, title, close),
      state,
      why,
      todo,
      strip,
      el("div", { class: "buttons", role: "group", "aria-label": "Commands" }, ...buttons),
      extra,
      output,
      el("h3", {}, "History"),
      history,
      names,
      el("h3", {}, "Policy"),
      facts
    )
    const drawn = { known: "", offered: "", said: "" }
    return { id: row.id, state, why, todo, strip, buttons, extra, facts, names, output, history, ...drawn }
  }

  const show = (row) => {
    dialog.dataset.tone = row.tone
    view.state.replaceChildren(
      shape(row.state),
      el("span", {}, row.word),
      el("span", { class: "sub" }, `since ${Time.clock(row.since)}`),
      row.owner === undefined
        ? ""
        : el("span", { class: "sub" }, row.owner === null ? "kept by no gateway" : `kept by ${row.owner}`)
    )
    write(view.why, row.why === "" ? "Nothing speaks against it." : row.why)
    write(view.todo, row.action?.text ?? "")
    allow(view.buttons, row)
    Strip.draw(view.strip, row)
  }

  const showOutput = (output) => {
    if (output === null)
      view.output.replaceChildren(
        el("h3", {}, "Stderr"),
        el("p", { class: "sub" }, "What a server writes may hold secrets, so it is for operators."),
        el("button", { type: "button", "data-unlock": true }, "Show stderr")
      )
    else if (output.length === 0) view.output.replaceChildren()
    else
      view.output.replaceChildren(
        el("h3", {}, "Stderr, last lines"),
        el("pre", { tabindex: 0, "aria-label": "Stderr" }, output.join("\n"))
      )
  }

  const read = async () => {
    const { id } = view
    let answer
    try {
      const response = await fetch(`/api/backends/${encodeURIComponent(id)}`, { headers: Operator.headers() })
      if (!response.ok) return
      answer = await response.json()
    } catch {
      return
    }
    if (view?.id !== id) return
    view.history.replaceChildren(...answer.history.toReversed().map((line) => entry(line, false)))
    const known = JSON.stringify([answer.tools, answer.prompts, answer.resources, answer.policy])
    // What is the same stays, so that it keeps focus and is not folded up again.
    if (known !== view.known) {
      view.known = known
      view.names.replaceChildren(
        list("Tools", answer.tools),
        list("Prompts", answer.prompts),
        list("Resources", answer.resources)
      )
      view.facts.replaceChildren(...answer.policy.flatMap(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]))
    }
    const offered = JSON.stringify([answer.buttons, answer.buttonsTitle])
    if (offered !== view.offered) {
      view.offered = offered
      const focused = view.extra.contains(document.activeElement) ? document.activeElement.dataset.command : undefined
      view.extra.replaceChildren(...(answer.buttons.length === 0 ? [] : extras(answer)))
      // what was pressed has another label now, and keeps the focus
      if (focused !== undefined) view.extra.querySelector(`[data-command="${CSS.escape(focused)}"]`)?.focus()
    }
    const said = JSON.stringify(answer.output)
    if (said !== view.said) {
      view.said = said
      showOutput(answer.output)
    }
  }

  dialog.addEventListener("close", () => {
    clearTimeout(timer)
    view = undefined
    dialog.replaceChildren()
  })
  dialog.addEventListener("click", async ({ target }) => {
    if (target === dialog || target.closest("[data-close]")) dialog.close()
    else if (target.closest("[data-unlock]") && (Operator.isKnown() || (await Operator.ask()))) await read()
  })

  return {
    open: (row) => {
      view = build(row)
      show(row)
      dialog.showModal()
      void read()
    },
    /** What is shown may have changed. */
    update: (rows) => {
      const row = view && rows.find(({ id }) => id === view.id)
      if (row === undefined) return
      show(row)
      clearTimeout(timer)
      timer = setTimeout(read, gathering)
    },
    shown: () => view?.id
  }
}
