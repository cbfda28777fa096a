/** What the measured process and the test that starts it say to each other over IPC. */

/** A backend survives one kill: `Prepare`, the kill, `Notice`, the restart, `Recover`. */
export type Command = { readonly _tag: "Prepare" | "Notice" | "Recover"; readonly cycle: number }

/** What one process holds once a cycle is over and the garbage is collected. */
export interface Measure {
  readonly generation: number
  /** bytes */
  readonly heapUsed: number
  /** how many there are of each of `process.getActiveResourcesInfo()` */
  readonly resources: Readonly<Record<string, number>>
  /** requests that the SDK's client of the live session waits for */
  readonly handlers: number
  /** those of them whose progress is asked for */
  readonly progressHandlers: number
  /** clients that are not collected, of all that the connector has made */
  readonly clients: number
}

export type Reply =
  | { readonly _tag: "Ready" }
  | { readonly _tag: "Prepared" }
  | { readonly _tag: "Noticed"; readonly outcome: string }
  | { readonly _tag: "Recovered"; readonly measure: Measure | undefined }
