/** What every framework comes down to in the matrix. */
import type { KeepAliveOptions } from "@vmcp-keepalive/host"
import type { Server } from "./stage.ts"

/** A client of a framework that is connected. */
export interface Host {
  /** Calls a tool as the framework's agents do; the text of the answer. Rejects with the framework's own error. */
  readonly call: (
    tool: string,
    args: Readonly<Record<string, unknown>>,
    options?: { readonly signal?: AbortSignal; readonly timeout?: number }
  ) => Promise<string>
  readonly told: Told
  readonly close: () => Promise<void>
}

/** What a framework's client was told of its connection, beside the answers to its calls. */
export class Told {
  closes = 0
  readonly errors: Array<string> = []
  readonly closed = (): void => void this.closes++
  readonly error = (error: unknown): void => void this.errors.push(textOf(error))

  /** As it is now. */
  now(): { readonly closes: number; readonly errors: ReadonlyArray<string> } {
    return { closes: this.closes, errors: [...this.errors] }
  }
}

export interface Framework {
  readonly name: string
  /** Connected in the way that its documentation shows. */
  readonly bare: (server: Server) => Promise<Host>
  /** Connected through this library. */
  readonly kept: (options: KeepAliveOptions) => Promise<Host>
  /** What a caller sees of an error of this library's: its data, or its text only. */
  readonly shows: "data" | "text"
  /** Whether a call can be given a time of its own. */
  readonly canTimeOut: boolean
}

export const textOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

/** The text of a result of `tools/call`, and of what frameworks make of one. */
export const text = (result: unknown): string => {
  if (typeof result === "string") return result
  if (Array.isArray(result)) return result.map(text).join("")
  if (typeof result !== "object" || result === null) return ""
  if ("text" in result) return text(result.text)
  return "content" in result ? text(result.content) : ""
}
