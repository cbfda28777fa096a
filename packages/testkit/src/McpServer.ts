/** A real MCP server in processes of its own, on a port of its own, that a test can kill, freeze and start again. */
import { Schema } from "effect"
import type { Effect } from "effect"

export class ServerStartError extends Schema.TaggedError<ServerStartError>()("ServerStartError", {
  /** `exited`: it ended before it answered; `timeout`: it did not answer within 20 s; `spawn`: it could not be run. */
  reason: Schema.Literals(["exited", "timeout", "spawn"]),
  server: Schema.String,
  /** The last lines it wrote to stdout and stderr. */
  output: Schema.String
}) {
  override get message() {
    return `${this.server} did not start (${this.reason}): ${this.output}`
  }
}

/** Arguments of `tools/call`. */
export interface Call {
  readonly name: string
  readonly arguments: Record<string, unknown>
}

/** A tool call that the server really executed. */
export interface Execution {
  readonly tool: string
  readonly arguments: unknown
}

/** What a kind of server is documented, or was seen, to do. */
export interface Traits {
  /** HTTP status for a session id that it does not know; `"none"` if it has no sessions. */
  readonly staleSession: number | "none"
  /** Whether a GET opens a standing stream (else 405). */
  readonly getStream: boolean
  /** The form of its answers to a request. */
  readonly answers: "sse" | "json"
  /** Whether a cut stream can be resumed with `last-event-id`. */
  readonly resumable: boolean
  readonly stateful: boolean
}

export interface McpServer {
  readonly name: string
  readonly port: number
  /** `http://127.0.0.1:port/mcp` */
  readonly url: string
  readonly traits: Traits
  /** Of the process started last, running or not. */
  readonly pid: Effect.Effect<number>
  /** SIGKILL to every process of it; resolves once they are gone. Nothing to do when it is not running. */
  readonly kill: Effect.Effect<void>
  /** Starts it on the same port; resolves once it answers. Nothing to do when it is running. */
  readonly start: Effect.Effect<void, ServerStartError>
  readonly restart: Effect.Effect<void, ServerStartError>
  /** SIGSTOP to every process of it: connections are still accepted by the kernel, nothing is answered. */
  readonly freeze: Effect.Effect<void>
  /** SIGCONT. */
  readonly thaw: Effect.Effect<void>
  /** What it executed, over all its lives, in order. */
  readonly executions: Effect.Effect<ReadonlyArray<Execution>>
  /** The last lines it wrote to stdout and stderr, at most 16 KiB, over all its lives. */
  readonly output: Effect.Effect<string>
  /** A call that answers at once and whose answer contains the message. */
  readonly echo: (message: string) => Call
  /** A call that answers after so many seconds. */
  readonly slow: (seconds: number) => Call
}

/** A gateway to a stdio server, which can die behind it. */
export interface Gateway extends McpServer {
  /** SIGKILL to the stdio servers behind it, not to the gateway; resolves once they are gone. */
  readonly killBackend: Effect.Effect<void>
}

/** A server of one era of MCP, or of both, that can become another behind the same URL. */
export interface ServerOfAnEra extends McpServer {
  readonly era: "modern" | "legacy" | "dual"
  /** Killed, and started as one of that era. */
  readonly become: (era: ServerOfAnEra["era"]) => Effect.Effect<void, ServerStartError>
  /** SIGTERM: it ends its streams in good order, and then itself. */
  readonly terminate: Effect.Effect<void>
}
