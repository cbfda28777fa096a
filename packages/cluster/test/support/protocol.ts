/** What a test and its replicas say to each other over IPC. */
import type { Operable } from "@vmcp-keepalive/core"
import type { ClusterOptions } from "../../src/index.ts"

export interface Configuration {
  readonly address: string
  readonly storage: number
  readonly lease: number
  /** the URLs of the backends, by their ids */
  readonly backends: { readonly [id: string]: string }
  /** and those that are child processes */
  readonly commands: { readonly [id: string]: readonly [command: string, ...args: ReadonlyArray<string>] }
  readonly options?: ReplicaOptions | undefined
}

/** What is not as by default. */
export interface ReplicaOptions extends Pick<ClusterOptions.Options, "declareDead" | "originStarts" | "shards"> {
  readonly tls?: { readonly ca: string; readonly cert: string; readonly key: string }
  /** the key of the ledger; none where no sessions are remembered */
  readonly sessionLedger?: string | undefined
}

export type Question =
  | { readonly ask: "states" }
  | { readonly ask: "processes" }
  | { readonly ask: "command"; readonly id: string; readonly command: Operable.Command }
  | {
      readonly ask: "call"
      readonly id: string
      readonly tag: string
      readonly ms?: number
      readonly idempotent?: boolean
    }
  | { readonly ask: "apply"; readonly backends: Configuration["backends"] }
  | { readonly ask: "events" }

export interface Asked {
  readonly n: number
  readonly question: Question
}

export interface Answer {
  readonly n: number
  readonly ok?: unknown
  /** the tag of what it failed with */
  readonly error?: string
}
