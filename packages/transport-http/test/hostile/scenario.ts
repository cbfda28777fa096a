/** What the processes of this suite say to each other: what a host is to do, what it saw, what its server counted. */
import type { Name } from "./attacks/attacks.ts"

/**
 * After how many milliseconds a scenario is over in any case. One that keeps its promise takes one or two seconds; the rest is
 * for a machine that is busy with others.
 */
export const within = 15_000

/** Calls of one tool of the hostile server. */
export interface Calls {
  /** `attack` is answered as the scenario says, `begin` starts it on the standing stream, `echo` is honest */
  readonly tool: "attack" | "begin" | "echo"
  /** how many; default 1 */
  readonly times?: number
  /** one after the other; default all at once */
  readonly inTurn?: boolean
  /** after how many milliseconds its caller gives up; default never */
  readonly deadline?: number
  /** how many characters of text the answer must have; default: the text must be the message that was sent */
  readonly characters?: number
  /** the messages that are sent, in turn; default: one of its own for each call */
  readonly messages?: ReadonlyArray<string>
}

/** What the host does with the hostile backend, beside calling the good one all the time. */
export interface Plan {
  /** default `auto` */
  readonly probe?: "auto" | { readonly method: "tool"; readonly tool: { readonly name: string } }
  /** the client of the hostile backend: the connector's default one, or one that answers sampling and roots; default `default` */
  readonly client?: "default" | "answering"
  /** whether `client.listTools` comes before the calls */
  readonly listsTools?: boolean
  /** one group after the other */
  readonly calls?: ReadonlyArray<Calls>
  /** isolates the backend, this many milliseconds after the first call */
  readonly isolateAfter?: number
  /** whether the heap is measured after the first group of calls and after the last one */
  readonly measuresHeap?: boolean
  /** the state in which the scenario is over, once all calls have settled; default `Connected` */
  readonly until?: "Connected" | "Disconnected" | "Isolated"
  /** how long it is watched then, in milliseconds; default 500 */
  readonly watch?: number
  /** after how many milliseconds it is over in any case; default {@link within} */
  readonly within?: number
}

/** What the host is started with. */
export interface Task {
  readonly plan: Plan
  readonly hostile: string
  readonly good: string
}

/** What the host prints, as one line of JSON. */
export interface Report {
  /** bytes: the most there has been of it */
  readonly rss: number
  /** the longest time for which the event loop was held up by work of this process, in milliseconds */
  readonly blocked: number
  /** the same with what other processes of the machine took of it, in milliseconds */
  readonly delayed: number
  /** CPU time of the main thread from the first to the last of it, in milliseconds */
  readonly worked: number
  /** the most there have been at once */
  readonly descriptors: number
  readonly good: {
    readonly succeeded: number
    readonly failures: ReadonlyArray<string>
    /** milliseconds */
    readonly slowest: number
    readonly state: string
  }
  /** how many of the calls to the hostile server ended in which way */
  readonly calls: Readonly<Record<string, number>>
  /** the slowest call to the hostile server that has settled, in milliseconds */
  readonly slowest: number
  /** of the hostile backend; with the reason where it has one, with the session where that is not the first one */
  readonly state: string
  /** what was said of the hostile backend: the events that have a reason, with it */
  readonly events: ReadonlyArray<string>
  /** by how much the heap has grown from the first group of calls to the last, in bytes */
  readonly growth: number | undefined
}

/** What the hostile server counted. */
export interface Tally {
  /** how often it did what the scenario is about */
  attacks: number
  /** tools/call of any tool */
  calls: number
  /** ping */
  pings: number
  /** tools/list */
  pages: number
  /** GET */
  streams: number
  /** answers of the client's to its own requests */
  answers: number
}

/** The hostile server's scenario, or the good server. */
export type ServerName = Name | "good"
