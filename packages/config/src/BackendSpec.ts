/**
 * One backend as a configuration file describes it: data, from which a connector is made.
 *
 * Two specs say the same if `Equal.equals` says so, and so with each of their parts: what is `Redacted` is compared by its content. So a
 * reload can tell whether a backend's `settings` changed (a new connection is needed), or only its `policy`, or nothing.
 */
import type { KeepalivePolicy } from "@vmcp-keepalive/core"
import * as Redacted from "effect/Redacted"

/**
 * A text of the file. It is redacted where something in it came from the environment.
 *
 * @since 0.1.0
 */
export type Text = string | Redacted.Redacted<string>

/**
 * A server that is reached over Streamable HTTP.
 *
 * @since 0.1.0
 */
export interface HttpSettings {
  readonly kind: "http"
  /** an absolute `http:` or `https:` URL; redacted, since its query may be a credential */
  readonly url: Redacted.Redacted<string>
  /** names as they are written, each once whatever its case; values always redacted */
  readonly headers: Readonly<Record<string, Redacted.Redacted<string>>>
}

/**
 * A server that is a child process.
 *
 * @since 0.1.0
 */
export interface StdioSettings {
  readonly kind: "stdio"
  readonly command: Text
  readonly args: ReadonlyArray<Text>
  /** `undefined`: the directory of this process */
  readonly cwd: Text | undefined
  /** beside what a child is given anyway; values always redacted */
  readonly env: Readonly<Record<string, Redacted.Redacted<string>>>
}

/**
 * How a server is reached; `kind` is that of the connector.
 *
 * @since 0.1.0
 */
export type Settings = HttpSettings | StdioSettings

/**
 * Which tools of a server are shown, by the names that the server gives them.
 *
 * @since 0.1.0
 */
export interface Tools {
  /** only these; `undefined`: all */
  readonly include: ReadonlyArray<string> | undefined
  /** not these, even where they are included; `undefined`: none */
  readonly exclude: ReadonlyArray<string> | undefined
}

/**
 * One backend of a file.
 *
 * @since 0.1.0
 */
export interface BackendSpec {
  readonly id: string
  readonly enabled: boolean
  readonly settings: Settings
  /** what the file says of it and of all, laid over each other; to be laid over the policy of the context */
  readonly policy: KeepalivePolicy.Options
  readonly tools: Tools
  /**
   * Whether a gateway has a session with it for each of its clients, or one for all; `undefined`: as the gateway has it for that kind.
   */
  readonly session?: "per-client" | "shared" | undefined
}

/**
 * The text itself.
 *
 * @since 0.1.0
 */
export const reveal = (text: Text): string => (Redacted.isRedacted(text) ? Redacted.value(text) : text)
