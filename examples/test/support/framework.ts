/** What every framework comes down to in the matrix. */
import type { KeepAliveOptions } from "@vmcp-keepalive/host"
import type { KeptFetch } from "@vmcp-keepalive/host/fetch"
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
  /** The calls that the framework's client has sent, where that can be seen: each as JSON. */
  readonly calls: Array<string> = []
  /** How often it has initialized, where that can be seen. */
  initializations = 0
  readonly closed = (): void => void this.closes++
  readonly error = (error: unknown): void => void this.errors.push(textOf(error))

  /** The same `fetch`, with what is sent through it seen. */
  readonly seeing =
    (fetch: KeptFetch["fetch"]): KeptFetch["fetch"] =>
    (input, init) => {
      const message: unknown = typeof init?.body === "string" ? JSON.parse(init.body) : undefined
      if (typeof message === "object" && message !== null && "method" in message) {
        if (message.method === "initialize") this.initializations++
        if (message.method === "tools/call" && "params" in message) this.calls.push(JSON.stringify(message.params))
      }
      return fetch(input, init)
    }

  /** As it is now. */
  now(): Pick<Told, "calls" | "closes" | "errors" | "initializations"> {
    const { calls, closes, errors, initializations } = this
    return { closes, errors: [...errors], calls: [...calls], initializations }
  }
}

export interface Framework {
  readonly name: string
  /** Connected in the way that its documentation shows. Not there for those that are seen through this library only. */
  readonly bare?: (server: Server) => Promise<Host>
  /** Connected through this library. */
  readonly kept: (options: KeepAliveOptions) => Promise<Host>
  /** What a caller sees of an error of this library's: its data, or its text only. */
  readonly shows: "data" | "text"
  /** Whether a call under way can be cancelled. Default: true. */
  readonly canCancel?: boolean
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
