/**
 * Lines on stderr, which whoever started this program may not read: Node writes to a pipe in this thread, and one that is full would stop
 * everything. So they are written outside of it, and where too many wait, the newest are dropped and counted.
 */
import { write } from "node:fs"

/** How much may wait, in bytes: as much as a busy minute of a gateway says. */
const maxWaiting = 1024 * 1024

/** How long to leave a pipe alone that takes nothing, in milliseconds. */
const pause = 50

export class Lines {
  readonly #descriptor: number
  #waiting: Array<Buffer> = []
  #bytes = 0
  #dropped = 0
  #isWriting = false
  #isBroken = false
  #settled: Array<() => void> = []

  constructor(descriptor: number) {
    this.#descriptor = descriptor
  }

  /** Writes a line, sooner or later. It never throws. */
  readonly write = (line: string): void => {
    if (this.#isBroken) return
    const bytes = Buffer.from(`${line}\n`)
    if (this.#bytes + bytes.length > maxWaiting) {
      this.#dropped += 1
      return
    }
    this.#enqueue(bytes)
  }

  /** Resolves when everything is written, or nobody can read it any more. */
  readonly flushed = (): Promise<void> =>
    this.#isWriting ? new Promise((resolve) => this.#settled.push(resolve)) : Promise.resolve()

  #enqueue(bytes: Buffer): void {
    this.#waiting.push(bytes)
    this.#bytes += bytes.length
    if (!this.#isWriting) this.#next()
  }

  #next(): void {
    if (this.#waiting.length === 0 && this.#dropped > 0 && !this.#isBroken) {
      const bytes = Buffer.from(`… ${this.#dropped} lines were not read in time, and are left out\n`)
      this.#dropped = 0
      this.#waiting.push(bytes)
      this.#bytes += bytes.length
    }
    const bytes = this.#waiting.length === 1 ? this.#waiting[0] : Buffer.concat(this.#waiting)
    this.#waiting = []
    this.#isWriting = bytes !== undefined && bytes.length > 0
    if (bytes === undefined || bytes.length === 0) {
      for (const resolve of this.#settled.splice(0)) resolve()
      return
    }
    this.#attempt(bytes)
  }

  #attempt(bytes: Buffer): void {
    write(this.#descriptor, bytes, 0, bytes.length, null, (error, written) => {
      // a pipe that another process made non-blocking, and that is full
      if (error?.code === "EAGAIN") return void setTimeout(() => this.#attempt(bytes), pause)
      if (error !== null) {
        this.#isBroken = true
        this.#waiting = []
        this.#bytes = 0
        return this.#next()
      }
      this.#bytes -= written
      if (written < bytes.length) return this.#attempt(bytes.subarray(written))
      this.#next()
    })
  }
}
