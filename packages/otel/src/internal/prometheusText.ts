/**
 * The text format of Prometheus, version 0.0.4. Effect's own writer comes with its HTTP router, which takes 0.1 s to load,
 * and writes all at once.
 */
import type { Family } from "./snapshot.ts"

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** Large enough to be few, small enough that making one does not stop the process for long. */
const chunkSize = 64 * 1024

/** The page in parts, each made when it is taken. */
export function* format(families: ReadonlyArray<Family>): Generator<string> {
  let text = ""
  for (const { entry, points } of families) {
    const { description, kind, name } = entry
    text += `# HELP ${name} ${description}\n# TYPE ${name} ${kind}\n`
    for (const { attributes, state } of points) {
      const labels = labelsOf(attributes ?? {})
      if ("buckets" in state) {
        const before = labels === "" ? "" : `${labels},`
        for (const [boundary, count] of state.buckets) text += `${name}_bucket{${before}le="${boundary}"} ${count}\n`
        text += `${name}_bucket{${before}le="+Inf"} ${state.count}\n`
        text += `${name}_sum${braced(labels)} ${state.sum}\n${name}_count${braced(labels)} ${state.count}\n`
      } else {
        text += `${name}${braced(labels)} ${"count" in state ? state.count : state.value}\n`
      }
      if (text.length < chunkSize) continue
      yield text
      text = ""
    }
  }
  if (text !== "") yield text
}

const labelsOf = (attributes: Readonly<Record<string, string>>) => {
  let labels = ""
  for (const name in attributes) {
    if (labels !== "") labels += ","
    labels += `${name.replace(/[^a-zA-Z0-9_]/g, "_")}="${escaped(attributes[name] ?? "")}"`
  }
  return labels
}

const braced = (labels: string) => (labels === "" ? "" : `{${labels}}`)

const special = /[\\"\n]/g
const escaped = (value: string) => value.replace(special, (found) => (found === "\n" ? "\\n" : `\\${found}`))
