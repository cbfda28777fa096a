/**
 * One child process, the leader of a process group of its own: started, written to, read from, and ended with everything
 * that it started.
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type { FileSystem } from "effect/FileSystem"
import type * as PlatformError from "effect/PlatformError"
import * as ChildProcess from "effect/process/ChildProcess"
import type { ChildProcessSpawner } from "effect/process/ChildProcessSpawner"
import type * as Redacted from "effect/Redacted"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Escapees from "./escapees.ts"

/** What is started. */
export interface Command {
  readonly command: string
  readonly args: ReadonlyArray<string | Redacted.Redacted<string>>
  readonly env: Readonly<Record<string, string | Redacted.Redacted<string>>>
  readonly cwd: string | undefined
}

/** How long each step of the shutdown gets. */
export interface Shutdown {
  /** from the end of stdin to SIGTERM */
  readonly end: Duration.Duration
  /** from SIGTERM to SIGKILL */
  readonly term: Duration.Duration
  /** from SIGKILL until it is no longer waited for */
  readonly kill: Duration.Duration
}

/** Who reads what it writes. Everything is read at once, so that it never blocks on a full pipe. */
export interface Reader {
  readonly stdout: (chunk: Uint8Array) => void
  readonly stderr: (chunk: Uint8Array) => void
}

/** What is written to it. */
export interface Outgoing {
  readonly bytes: Uint8Array
  /** its turn has come: from now on it may reach the child; false where it is needed no longer */
  readonly leaving: () => boolean
}

/** How it ended. */
export type Ending =
  | { readonly _tag: "Exited"; readonly code: number }
  | { readonly _tag: "Signalled"; readonly signal: string }

/** A child that was started. */
export interface Child {
  readonly pid: number
  readonly write: (message: Outgoing) => void
  /** its own exit status, whoever still holds its pipes */
  readonly ended: Effect.Effect<Ending>
  /** no more will be read: both pipes are closed, also by those that inherited them */
  readonly drained: Effect.Effect<void>
  /** it can no longer be talked to: its stdin cannot be written, or its stdout is closed */
  readonly deaf: Effect.Effect<void>
  /** Ends stdin, then SIGTERM, then SIGKILL to the group, each after its bound; at once what has ended already. */
  readonly end: (shutdown: Shutdown) => Effect.Effect<void, never, FileSystem>
}

/** Starts it; whoever does must `end` it. */
export const start = Effect.fnUntraced(function* (
  { args, command, cwd, env }: Command,
  { term }: Shutdown,
  reader: Reader
): Effect.fn.Return<Child, PlatformError.PlatformError, ChildProcessSpawner | FileSystem> {
  // The pipes are read until after the processes have ended: one that is not read holds its descriptor for ever.
  const life = yield* Scope.make()
  const pipes = yield* Scope.make()
  const handle = yield* ChildProcess.make(command, args, {
    env,
    ...(cwd === undefined ? {} : { cwd }),
    killSignal: "SIGTERM",
    forceKillAfter: term
  }).pipe(Scope.provide(life))

  const held = yield* Escapees.pipesOf(handle.pid)
  const outbox = yield* Queue.unbounded<Outgoing, Cause.Done>()
  const deaf = yield* Deferred.make<void>()
  const isDeaf = Deferred.succeed(deaf, undefined)
  yield* Stream.fromQueue(outbox).pipe(
    Stream.rechunk(1),
    Stream.filter(({ leaving }) => leaving()),
    Stream.map(({ bytes }) => bytes),
    Stream.run(handle.stdin),
    Effect.catchCause(() => isDeaf),
    Effect.forkIn(pipes)
  )
  const read = (stream: Stream.Stream<Uint8Array, PlatformError.PlatformError>, take: (chunk: Uint8Array) => void) =>
    stream.pipe(
      Stream.runForEachArray((chunks) => Effect.sync(() => chunks.forEach(take))),
      Effect.ignore
    )
  const stdout = yield* read(handle.stdout, reader.stdout).pipe(Effect.andThen(isDeaf), Effect.forkIn(pipes))
  const stderr = yield* read(handle.stderr, reader.stderr).pipe(Effect.forkIn(pipes))

  const ended = Effect.map(Effect.exit(handle.exitCode), endingOf)
  const drained = Effect.asVoid(Fiber.awaitAll([stdout, stderr]))
  return {
    pid: handle.pid,
    write: (message) => void Queue.offerUnsafe(outbox, message),
    ended,
    drained,
    deaf: Deferred.await(deaf),
    end: (shutdown) =>
      Effect.gen(function* () {
        yield* Queue.end(outbox)
        yield* Effect.timeoutOption(ended, shutdown.end)
        // What even SIGKILL does not end hangs in the kernel: it is waited for, but by nobody.
        const killing = yield* Effect.forkDetach(Scope.close(life, Exit.void))
        yield* Effect.timeoutOption(Fiber.await(killing), Duration.sum(shutdown.term, shutdown.kill))
        const isDrained = yield* Effect.timeoutOption(drained, lastWords)
        if (Option.isNone(isDrained)) {
          yield* Escapees.kill(held)
          yield* Effect.timeoutOption(drained, lastWords)
        }
        yield* Scope.close(pipes, Exit.void)
      })
  }
})

/** How long the pipes of processes that have ended may take to close. */
const lastWords = "100 millis"

/** The spawner tells the signal in the message of an error only. */
const endingOf = (exit: Exit.Exit<number, PlatformError.PlatformError>): Ending => {
  if (Exit.isSuccess(exit)) return { _tag: "Exited", code: exit.value }
  const error = Cause.squash(exit.cause)
  const told = error instanceof Error ? `${error.message} ${String(error.cause)}` : ""
  return { _tag: "Signalled", signal: /SIG[A-Z0-9]+/.exec(told)?.[0] ?? "unknown" }
}
