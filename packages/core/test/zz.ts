import * as Table from "./support/table.ts"
let W=0,S=0; const T=Date.now()
for (const r of Table.everyRules) { const t=Date.now(); const e = Table.explore(r); W+=e.worlds;S+=e.steps; console.log(r.failureThreshold,r.circuitFailures,r.connect, e.worlds, e.steps, Date.now()-t); for (const b of e.broken) console.log(b) }
console.log(W,S,Date.now()-T)
