/** What the scripted server and its parent say to each other over IPC. */
import type { Data } from "effect"

/** What it can list beside its tools. */
export type Listed = "prompts" | "resources"

/** How the server behaves; each field can be changed while it runs. */
export interface Behaviour {
  /** The form of answers to requests. Default `"sse"`. */
  readonly answers: "sse" | "json"
  /** Whether it has sessions. Default true. */
  readonly stateful: boolean
  /** Status for a session id it does not know. Default 404. */
  readonly staleSession: number
  /** Whether streams have event ids and can be resumed. Default false. */
  readonly eventStore: boolean
  /** Whether GET opens a stream; else it is 405. Default true. */
  readonly getStream: boolean
  /** A second `initialize` is refused with 409 until the first session got its DELETE. Default false. */
  readonly singleSession: boolean
  /** The exact `authorization` header that every request must carry, else 401; null for none. Default null. */
  readonly authorization: string | null
  /** Milliseconds sent as SSE `retry:` at the head of each stream; null for none. Default null. */
  readonly retry: number | null
  /** What it declares to have beside tools, told in the handshake. Default none. */
  readonly lists: ReadonlyArray<Listed>
}

export const defaults: Behaviour = {
  answers: "sse",
  stateful: true,
  staleSession: 404,
  eventStore: false,
  getStream: true,
  singleSession: false,
  authorization: null,
  retry: null,
  lists: []
}

/** What happens to a request instead of its execution. */
export type Reaction = Data.TaggedEnum<{
  /** It is never answered. */
  Hang: {}
  /** It gets an HTTP status: 429 with `retry-after`, a redirect with `location`, HTML with 200, … */
  Status: { readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** It gets a JSON-RPC error over the wire. */
  RpcError: { readonly code: number; readonly message?: string }
  /** The answer is to an id that was not asked. */
  WrongId: {}
  /** The body, or SSE data, is no JSON. */
  InvalidJson: {}
  /** The result is one line of about so many bytes. */
  HugeLine: { readonly bytes: number }
}>

/** A reaction to the next requests of one kind. */
export interface Script {
  /** A JSON-RPC method, or `"GET"`, `"DELETE"`, `"OPTIONS"`, or `"*"` for every request. */
  readonly to: string
  readonly reaction: Reaction
  /** Default: always. */
  readonly times?: number
}

export type Control = Data.TaggedEnum<{
  /** Changes some of its behaviour. */
  Configure: { readonly behaviour: Partial<Behaviour> }
  /** The most recent script for a request wins. */
  React: { readonly script: Script }
  /** Forgets every script; requests that hang stay so. */
  ForgetScripts: {}
  /** Forgets every session, without a word to its client; standing streams stay open. */
  ExpireSessions: {}
  /** Sends a notification on every standing GET stream, as often as that; default once. */
  Notify: { readonly method: string; readonly params?: unknown; readonly times?: number }
  /** Sends a ping on every standing GET stream; `stats.pingsAnswered` counts the answers. */
  Ping: {}
  /** Ends every standing GET stream properly. */
  EndStreams: {}
  /** Both change the list of tools and say so with `notifications/tools/list_changed`. One that is there gets another schema. */
  AddTool: { readonly name: string; readonly inputSchema?: Readonly<Record<string, unknown>> }
  RemoveTool: { readonly name: string }
  /** From now on these are its prompts, or its resources; it says so with `list_changed`. */
  List: { readonly kind: Listed; readonly entries: ReadonlyArray<Readonly<Record<string, unknown>>> }
}>

export interface Stats {
  readonly sessions: number
  readonly sockets: number
  /** Standing GET streams that are open. */
  readonly streams: number
  readonly deletes: number
  readonly pingsAnswered: number
  readonly byMethod: Readonly<Record<string, number>>
  readonly byRpcMethod: Readonly<Record<string, number>>
}

/** A request as it reached the server. */
export interface Received {
  readonly method: string
  readonly rpcMethod?: string
  readonly headers: Readonly<Record<string, string>>
}

export type Question = Control | { readonly _tag: "Stats" } | { readonly _tag: "Requests" }
export interface Envelope {
  readonly id: number
  readonly question: Question
}
export interface Reply {
  readonly id: number
  readonly stats?: Stats
  readonly requests?: ReadonlyArray<Received>
}
