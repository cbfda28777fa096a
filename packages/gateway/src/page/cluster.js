/** The gateways that share the backends: how many each keeps, and how long its leases last. */
import { byId, el, write } from "./dom.js"
import * as Time from "./time.js"

/** a lease that has less than this is about to be lost, in milliseconds */
const short = 2000

const count = (number) => `${number} ${number === 1 ? "backend" : "backends"}`

const lease = (ms) => (ms === null ? "no lease" : `lease ${Math.round(ms / 1000)} s`)

const toneOf = ({ healthy, lease }) => (healthy && (lease === null || lease >= short) ? "ok" : "warn")

const item = (process) =>
  el(
    "li",
    { "data-tone": toneOf(process) },
    el("b", {}, process.address),
    el(
      "span",
      { class: "sub" },
      [
        ...(process.here ? ["this one"] : []),
        count(process.backends),
        lease(process.lease),
        ...(process.healthy ? [] : ["does not answer"])
      ].join(" · ")
    )
  )

/** Shows it; `undefined` where the gateway is none of several. */
export const show = (cluster) => {
  const section = byId("cluster")
  section.hidden = cluster === undefined
  if (cluster === undefined) return
  const { margin, processes, silentSince } = cluster
  write(byId("cluster-title"), processes.length === 1 ? "1 gateway" : `${processes.length} gateways`)
  byId("processes").replaceChildren(...processes.map(item))
  const silent = byId("silent")
  silent.hidden = silentSince === null
  write(
    silent,
    silentSince === null
      ? ""
      : `The database of the cluster does not answer since ${Time.clock(silentSince)}: ` +
          (margin === null || margin === 0
            ? "this gateway keeps no backend until it does."
            : `this gateway lets go of its backends in ${Math.round(margin / 1000)} s.`)
  )
}
