/** How a command fails: what is wrong is told on stderr, a line for each thing, and the exit code is 1. */
import * as Console from "effect/Console"
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"

/** What ends the command has been told. */
export class Told extends Data.TaggedError("Told") {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

/** Tells it, and ends the command. */
export const fail = (text: string): Effect.Effect<never, Told> => Effect.andThen(Console.error(text), new Told())
