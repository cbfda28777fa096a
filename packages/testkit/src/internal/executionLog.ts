/** The log that a server keeps of its lives: a line of JSON for each start, tool call and grandchild. */
import { readFileSync } from "node:fs"
import type { Execution } from "../McpServer.ts"

/** A line; a server may only append whole ones, synchronously, so that they survive SIGKILL. */
export type Entry =
  | Execution
  /** Pid of a process that began to run the server. */
  | { readonly started: number }
  /** Pid of a process that the server started. */
  | { readonly grandchild: number }

/** Whole lines only: the last may be half written when the server was killed. */
const entries = (path: string): ReadonlyArray<Entry> => {
  let text = ""
  try {
    text = readFileSync(path, "utf8")
  } catch {
    return [] // Nothing was logged yet.
  }
  return text
    .split("\n")
    .slice(0, -1)
    .map((line): Entry => JSON.parse(line))
}

export const executions = (path: string): ReadonlyArray<Execution> =>
  entries(path).filter((entry): entry is Execution => "tool" in entry)

export const starts = (path: string): ReadonlyArray<number> =>
  entries(path).flatMap((entry) => ("started" in entry ? [entry.started] : []))

export const grandchildren = (path: string): ReadonlyArray<number> =>
  entries(path).flatMap((entry) => ("grandchild" in entry ? [entry.grandchild] : []))
