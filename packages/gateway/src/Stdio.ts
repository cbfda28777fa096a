/**
 * A gateway for one host, over this process' standard input and output, as MCP's stdio transport has it: a message a line, of either era.
 * So it stands in front of the servers of an IDE, as if it were one of them.
 */
import { Limits, Message } from "@vmcp-keepalive/sdk-client/peer"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Readable, Writable } from "node:stream"
import type { Shape } from "./Gateway.ts"
import * as Opening from "./internal/host/opening.ts"
import * as Modern from "./internal/modern/stdio.ts"
import { type Era, eraOf } from "./internal/stdio/era.ts"
import { Lines } from "./internal/stdio/lines.ts"
import { Output } from "./internal/stdio/output.ts"

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
 * Serves the host until its input ends, or it reads no more; what it has asked then is cancelled and not answered. A line is at most
 * 16 MiB: a longer one is answered with a parse error. While the host does not read what it is told, nothing more of what it asks is
 * read, and notifications beyond 16 MiB are dropped.
 *
 * @since 0.1.0
 */
export const serve = ({
  gateway,
  input = process.stdin,
  output = process.stdout
}: Options): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const written = new Output({ output, most, onFull: () => input.pause(), onDrained: () => input.resume() })
    const legacy = yield* gateway.open(written.write)
    const modern = yield* Effect.acquireRelease(
      Effect.map(Opening.of(gateway), (open) => Modern.make({ open, send: written.write })),
      ({ close }) => Effect.promise(close)
    )
    let era: Era
    const take = (line: string) => {
      if (Message.excess(Buffer.from(line), Limits.defaults) !== undefined) return written.write(tooLong)
      const value = Message.parse(line)
      if (value === undefined) return written.write(notJson)
      era = eraOf(era, value)
      const message = Message.of(value)
      // what is no message is answered there
      if (era !== "modern" || message === undefined) legacy.take(value)
      else modern.take(message)
    }
    const lines = new Lines(most, take, () => written.write(tooLong))
    const data = (chunk: Buffer) => lines.take(chunk)
    const over = yield* Deferred.make<void>()
    const end = () => Deferred.doneUnsafe(over, Effect.void)
    const listening = Effect.sync(() => {
      input.on("data", data)
      for (const event of endings) input.on(event, end)
      for (const event of failures) output.on(event, end)
    })
    const left = Effect.sync(() => {
      written.end()
      input.off("data", data)
      input.pause()
      for (const event of endings) input.off(event, end)
      for (const event of failures) output.off(event, end)
    })
    yield* Effect.acquireUseRelease(
      listening,
      () => Deferred.await(over),
      () => left
    )
  })

const endings = ["end", "close", "error"] as const
const failures = ["close", "error"] as const

/** In bytes of a line, and of what the host has not read. */
const most = Limits.defaults.messageBytes

const notJson: Message.Message = { jsonrpc: "2.0", error: { code: -32700, message: "Parse error: Invalid JSON" } }
const tooLong: Message.Message = {
  jsonrpc: "2.0",
  error: { code: -32700, message: "Parse error: this line is too long" }
}
