/**
 * The text format of Prometheus, version 0.0.4. Effect's own writer comes with its HTTP router, which takes 0.1 s to load,
 * and writes all at once.
 */
import type * as Catalog from "./catalog.ts"
import * as Figures from "./figures.ts"

export const contentType = "text/plain; version=0.0.4; charset=utf-8"

/** Large enough to be few, small enough that making one does not stop the process for long. */
const chunkSize = 64 * 1024

/** The page in parts, each made when it is taken. */
export function* format(families: ReadonlyArray<Figures.Family>): Generator<string> {
  let text = ""
  for (const { attributes, entry, values } of families) {
    const { description, kind } = entry
    const name = nameOf(entry)
    const width = Figures.width(entry)
    text += `# HELP ${name} ${description}\n# TYPE ${name} ${kind}\n`
    for (const [index, labelled] of attributes.entries()) {
      const labels = labelsOf(labelled)
      const at = (offset: number) => values[index * width + offset]
      if (entry.kind === "histogram") {
        const before = labels === "" ? "" : `${labels},`
        const count = at(width - 1)
        for (const [bucket, boundary] of entry.boundaries.entries()) {
          text += `${name}_bucket{${before}le="${boundary}"} ${at(bucket)}\n`
        }
        text += `${name}_bucket{${before}le="+Inf"} ${count}\n`
        text += `${name}_sum${braced(labels)} ${at(width - 2)}\n${name}_count${braced(labels)} ${count}\n`
      } else {
        text += `${name}${braced(labels)} ${at(0)}\n`
      }
      if (text.length < chunkSize) continue
      yield text
      text = ""
    }
  }
  if (text !== "") yield text
}

/** As OpenTelemetry's names are written for Prometheus, whichever exporter writes them; ours are so already. */
const nameOf = ({ name, unit }: Catalog.Entry) =>
  name.includes(".") ? `${name.replaceAll(".", "_")}${unit === "s" ? "_seconds" : ""}` : name

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
