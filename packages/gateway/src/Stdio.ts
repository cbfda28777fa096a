/**
 * A gateway for one host, over this process' standard input and output, as MCP's stdio transport has it: a message a line. So it stands in
 * front of the servers of an IDE, as if it were one of them.
 */
import { Limits, Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Readable, Writable } from "node:stream"
import { StringDecoder } from "node:string_decoder"
import type { Shape } from "./Gateway.ts"

/**
 * What {@link serve} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  readonly gateway: Pick<Shape, "open">
  /** Default: that of this process */
  readonly input?: Readable | undefined
  /** Default: that of this process; nothing else may write to it */
  readonly output?: Writable | undefined
}

/**
 * Serves the host until its input ends. A line is at most 16 MiB: a longer one is answered with a parse error. While the host does not read
 * what it is told, nothing more of what it asks is read, and notifications beyond 16 MiB are dropped.
 *
 * @since 0.1.0
 */
export const serve = ({
  gateway,
  input = process.stdin,
  output = process.stdout
}: Options): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const write = (message: Message.Message) => {
      if (!Message.isAnswer(message) && !("id" in message) && output.writableLength > most) return
      if (output.write(`${JSON.stringify(message)}\n`)) return
      input.pause()
      output.once("drain", () => input.resume())
    }
    const { take } = yield* gateway.open(write)
    const lines = new Lines(
      (line) => {
        const value = Message.parse(line)
        if (value === undefined) write(notJson)
        else take(value)
      },
      () => write(tooLong)
    )
    yield* Effect.callback<void>((resume) => {
      const data = (chunk: Buffer) => lines.take(chunk)
      const end = () => resume(Effect.void)
      input.on("data", data)
      for (const event of endings) input.once(event, end)
      return Effect.sync(() => {
        input.off("data", data)
        for (const event of endings) input.off(event, end)
      })
    })
  })

const endings = ["end", "close", "error"] as const

/** In bytes of a line, and of what the host has not read. */
const most = Limits.defaults.messageBytes

const notJson: Message.Message = { jsonrpc: "2.0", error: { code: -32700, message: "Parse error: Invalid JSON" } }
const tooLong: Message.Message = {
  jsonrpc: "2.0",
  error: { code: -32700, message: "Parse error: this line is too long" }
}

/** Takes bytes as they come, and gives lines; of one that is too long nothing is held. */
class Lines {
  readonly #onLine: (line: string) => void
  readonly #onTooLong: () => void
  readonly #decoder = new StringDecoder("utf8")
  #parts: Array<string> = []
  #length = 0
  #isTooLong = false

  constructor(onLine: (line: string) => void, onTooLong: () => void) {
    this.#onLine = onLine
    this.#onTooLong = onTooLong
  }

  take(chunk: Buffer): void {
    const [first = "", ...others] = this.#decoder.write(chunk).split("\n")
    this.#add(first)
    for (const part of others) {
      this.#end()
      this.#add(part)
    }
  }

  #add(part: string): void {
    if (this.#isTooLong) return
    this.#length += part.length
    if (this.#length <= most) return void this.#parts.push(part)
    this.#isTooLong = true
    this.#parts = []
    this.#onTooLong()
  }

  #end(): void {
    const line = this.#parts.join("")
    if (!this.#isTooLong && line.trim() !== "") this.#onLine(line)
    this.#parts = []
    this.#length = 0
    this.#isTooLong = false
  }
}
