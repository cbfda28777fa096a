/** What the processes of this suite say to each other: what a host is to do, and what it saw. */
import type { StdioConnector } from "../../src/index.ts"

/** What the server does from the first call on; until then it is a good one, and the call that begins it is not answered. */
export type Attack =
  /** reads nothing any more */
  | "readsNothing"
  /** the same, and sends pings as fast as they are read */
  | "pingsAndReadsNothing"
  /** the same, and sends 200 pings a second */
  | "pingsSlowlyAndReadsNothing"
  /** reads, and sends 5,000 pings a second, each when the answer to the one before has come */
  | "pingsTooOften"
  /** reads, and sends requests for sampling as fast as they are read */
  | "samples"
  /** the same, each of 15 MiB */
  | "samplesMuch"
  /** the same, and cancels each at once */
  | "samplesMuchAndCancels"
  /** answers a call with a line of 1 MiB, in writes of one byte */
  | "writesBytes"
  /** answers a call with 400,000 arrays one in the other */
  | "nests"
  /** answers a call with 8 million arrays one in the other */
  | "nestsTooDeep"
  /** writes three lines of 16 MiB that are full of beginnings of objects, and answers the call then */
  | "writesGarbage"
  /** answers a call with 16 MiB of empty objects */
  | "answersContainers"
  /** answers pings with 16 MiB of empty objects */
  | "answersPingsWithContainers"
  /** a good server */
  | "none"

/** What the host does with the hostile backend, beside calling the good one all the time. */
export interface Plan {
  readonly attack: Attack
  readonly limits?: StdioConnector.Options["limits"]
  /** calls of the hostile server, ten in a millisecond; default: one of 10 characters */
  readonly calls?: { readonly count: number; readonly characters: number }
  /** what the handler of sampling does with a request; default: it never answers, whatever becomes of the request */
  readonly sampling?: "never answers" | "answers"
  /** when it is over, once all calls have settled: the state of the hostile backend; default: `Connected` */
  readonly until?: "Connected" | "Disconnected"
  /** how long it is watched then, in milliseconds; default 500 */
  readonly watch?: number
  /** after how many milliseconds it is over in any case; default 25,000 */
  readonly within?: number
}

/** What the host sends when it is over. */
export interface Report {
  /** bytes: the most there has been of it, the start of the process included */
  readonly rss: number
  /** the longest time for which the event loop was held up by work of this process, in milliseconds */
  readonly blocked: number
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
  /** of the hostile backend; with the reason where it has one */
  readonly state: string
  /** the transport's phrases for the losses of the hostile backend's sessions */
  readonly losses: ReadonlyArray<string>
  /** lines of garbage */
  readonly garbage: number
}
