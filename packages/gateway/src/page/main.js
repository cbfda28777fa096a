/** The page: what the gateway tells goes to the table, the log and the summary; what a person orders goes to the gateway. */
import { table } from "./backends.js"
import * as Cluster from "./cluster.js"
import { details, entry } from "./details.js"
import { byId, el, shape, write } from "./dom.js"
import { follow } from "./events.js"
import * as Operator from "./operator.js"
import * as Time from "./time.js"

/** how many lines the log shows */
const logLimit = 200
/** how many changes are read out one by one; more are only counted */
const readOut = 3

const backends = table(byId("rows"))
const detailed = details()
const log = byId("log")
const search = byId("search")
let filter = "all"
let lastSeq = 0
let isLost = false

Operator.takeFromAddress()

// ---------------------------------------------------------------------------------------------------------- what is told

const words = new Map()

const summarize = () => {
  const rows = backends.all()
  const bad = rows.filter(({ attention }) => attention).length
  const text =
    rows.length === 0
      ? "No backends"
      : bad === 0
        ? `All ${rows.length} backends are fine`
        : `${bad} of ${rows.length} need attention`
  write(byId("summary"), text)
  byId("summary").dataset.tone = bad > 0 ? "bad" : "ok"
  document.title = `${isLost ? "? " : ""}${text} – vmcp-keepalive`
  write(byId("count-all"), String(rows.length))
  write(byId("count-attention"), String(bad))

  const counts = new Map()
  for (const { state, tone, word } of rows) {
    words.set(state, { word, tone })
    counts.set(state, (counts.get(state) ?? 0) + 1)
  }
  const key = JSON.stringify([...counts])
  if (byId("counts").dataset.key === key) return
  byId("counts").dataset.key = key
  byId("counts").replaceChildren(
    ...[...words].flatMap(([state, { tone, word }]) =>
      counts.has(state)
        ? [el("li", { "data-tone": tone }, shape(state), `${counts.get(state)} ${word.toLowerCase()}`)]
        : []
    )
  )
}

const refilter = () => {
  const text = search.value.trim().toLowerCase()
  const shown = backends.filter(
    (row) =>
      (filter === "all" || row.attention) &&
      (text === "" || `${row.id} ${row.kind} ${row.word} ${row.why} ${row.owner ?? ""}`.toLowerCase().includes(text))
  )
  const empty = byId("empty")
  empty.hidden = shown > 0
  write(
    empty,
    backends.all().length === 0
      ? "No backend is configured."
      : text === ""
        ? "No backend needs attention."
        : "No backend matches the search."
  )
}

const saying = []
const say = (text) => {
  saying.push(text)
  if (saying.length > 1) return
  setTimeout(() => {
    const all = saying.splice(0)
    byId("said").textContent =
      all.length <= readOut ? all.join(". ") : `${all.length} changes. ${byId("summary").textContent}`
  }, 1000)
}

const append = (entries, isNews) => {
  const fresh = entries.filter(({ seq }) => seq > lastSeq)
  if (fresh.length === 0) return
  lastSeq = fresh.at(-1).seq
  log.prepend(...fresh.toReversed().map((line) => entry(line, true)))
  while (log.childElementCount > logLimit) log.lastElementChild.remove()
  if (isNews) for (const { backend, important, text } of fresh) if (important) say(`${backend}: ${text}`)
}

follow({
  snapshot: ({ at, cluster, log: entries, order, rows }) => {
    Time.adjust(at)
    Time.go()
    Cluster.show(cluster)
    backends.take(rows)
    backends.arrange(order)
    log.replaceChildren()
    lastSeq = 0
    append(entries, false)
    summarize()
    refilter()
    detailed.update(rows)
  },
  changes: ({ at, log: entries, order, rows }) => {
    Time.adjust(at)
    backends.take(rows)
    if (order !== undefined) backends.arrange(order)
    append(entries, true)
    summarize()
    if (order !== undefined || filter !== "all" || search.value !== "") refilter()
    detailed.update(rows)
  },
  cluster: ({ at, cluster }) => {
    Time.adjust(at)
    Cluster.show(cluster)
  },
  found: () => {
    if (isLost) say("Connected to the gateway again")
    isLost = false
    byId("lost").hidden = true
    document.body.classList.remove("stale")
    byId("live").dataset.live = "yes"
    write(byId("live"), "Live")
    summarize()
  },
  lost: () => {
    isLost = true
    Time.stop()
    byId("lost").hidden = false
    write(
      byId("lost"),
      `Connection to the gateway lost: what you see may be old (since ${Time.clock(Time.now())}). Trying again…`
    )
    document.body.classList.add("stale")
    byId("live").dataset.live = "no"
    write(byId("live"), "Not live")
    summarize()
  }
})

setInterval(() => isLost || backends.tick(), 500)
setInterval(() => isLost || backends.redraw(), 2000)

// -------------------------------------------------------------------------------------------------------- what is ordered

const order = async (id, command) => {
  const outcome = await Operator.order(id, command)
  if (outcome !== undefined) say(outcome)
}

document.addEventListener("click", ({ target }) => {
  const button = target instanceof Element ? target.closest("button") : null
  if (button === null) return
  const id = button.closest("[data-id]")?.dataset.id ?? detailed.shown()
  if (button.dataset.filter !== undefined) {
    filter = button.dataset.filter
    for (const each of document.querySelectorAll("[data-filter]"))
      each.setAttribute("aria-pressed", String(each.dataset.filter === filter))
    refilter()
  } else if (id === undefined) return
  else if (button.dataset.details !== undefined) detailed.open(backends.get(id))
  else if (button.dataset.command !== undefined && button.getAttribute("aria-disabled") !== "true")
    void order(id, button.dataset.command)
})

search.addEventListener("input", refilter)
document.addEventListener("keydown", (event) => {
  const isTyping = event.target instanceof HTMLInputElement || document.querySelector("dialog[open]") !== null
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault()
    search.focus()
  } else if (event.key === "Escape" && event.target === search) {
    search.value = ""
    refilter()
  }
})
