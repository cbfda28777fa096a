/**
 * The tools of a server as a toolkit that follows the server's list: what `McpClient.toolkit` makes is a snapshot.
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Equal from "effect/Equal"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as McpClient from "effect/ai/McpClient"
import * as McpClientError from "effect/ai/McpClientError"
import type * as McpSchema from "effect/ai/McpSchema"
import type * as Toolkit from "effect/ai/Toolkit"
import type { KeptMcpClient } from "./KeptMcpClient.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * Tools as `McpClient.toolkit` makes them.
 *
 * @since 0.1.0
 */
export type Tools = Toolkit.WithHandlerTools<Effect.Success<ReturnType<typeof McpClient.toolkit>>>

/**
 * An Effect that gives the present tools, and so what `toolkit` of `LanguageModel.generateText` takes: each turn of a model has the
 * tools that are there then. Where nothing has changed it asks nobody; else it lists the tools first, once for all who want them.
 * It does not fail: where the list cannot be had, the last one stays (see `failure`).
 *
 * @since 0.1.0
 */
export interface KeptToolkit extends Effect.Effect<Toolkit.WithHandler<Tools>> {
  /** Lists the tools now, also where the server did not say that they have changed. */
  readonly refresh: Effect.Effect<Toolkit.WithHandler<Tools>, McpClientError.McpClientError>
  /** Why the present tools may be old: what the last listing failed with. */
  readonly failure: Effect.Effect<Option.Option<McpClientError.McpClientError>>
}

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options {
  /** Stands before the name of each tool. Default: nothing */
  readonly prefix?: string | undefined
  /**
   * How long a turn waits for a list that is being read, counted from when its reading began; then it has the last one. Default:
   * 5 seconds, since a server that answers at all does so in a fraction of that
   */
  readonly waitForList?: Duration.Input | undefined
}

// ------------------------------------------------------------------------------------------------------- constructors

/**
 * The tools of the client's server. Fails where they cannot be listed at first, or where a name is none that models take.
 *
 * @since 0.1.0
 */
export const make = (
  client: KeptMcpClient,
  options: Options = {}
): Effect.Effect<KeptToolkit, McpClientError.McpClientError, Scope.Scope> =>
  Effect.gen(function* () {
    const waitForList = Option.getOrUndefined(Duration.fromInput(options.waitForList ?? "5 seconds"))
    if (waitForList === undefined || Duration.isNegative(waitForList)) return yield* wrongWait
    const read = reader(client, options.prefix)
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const scope = yield* Effect.scope
    const first = yield* read(undefined)
    const reread = (last: List) =>
      Effect.tapError(read(last), ({ reason }) =>
        Effect.logWarning("The tools of an MCP server could not be listed: the last list stays").pipe(
          Effect.annotateLogs({ backend: client.transport.backend.id, reason: reason._tag })
        )
      )
    const kept = new Following(client, first, waitForList, (last) => Fiber.runIn(run(reread(last)), scope))
    yield* Effect.addFinalizer(() => Effect.sync(() => kept.end()))
    return kept
  })

// ----------------------------------------------------------------------------------------------------------- internal

const wrongWait = new McpClientError.McpClientError({
  reason: new McpClientError.ConfigurationError({ description: "waitForList: expected a duration of 0 or longer" })
})

const ended = new McpClientError.McpClientError({
  reason: new McpClientError.ClosedError({ description: "The scope of the toolkit has ended" })
})

/** A list of tools, and what was made of it. */
interface List {
  readonly toolkit: Toolkit.WithHandler<Tools>
  readonly tools: ReadonlyMap<string, McpSchema.Tool>
  /** what the transport said when the reading began: what is told later is not in it */
  readonly revision: number
}

/** Reads the list. Where it is as it was, in whatever order, the toolkit stays the same: what was made for its schemas is kept. */
const reader = (client: KeptMcpClient, prefix: string | undefined) =>
  Effect.fnUntraced(function* (last: List | undefined): Effect.fn.Return<List, McpClientError.McpClientError> {
    const revision = yield* client.transport.toolListRevision
    const listed = yield* client.listTools()
    const tools = new Map(listed.map((tool) => [tool.name, tool]))
    if (last !== undefined && areSame(tools, last.tools)) return { ...last, revision }
    const known = { ...client, listTools: () => Effect.succeed(listed) }
    return { toolkit: yield* McpClient.toolkit(known, prefix), tools, revision }
  })

const areSame = (tools: List["tools"], others: List["tools"]): boolean => {
  try {
    return Equal.equals(tools, others)
  } catch {
    // The stack does not suffice for schemas of 2,000 levels.
    return false
  }
}

/** A list that is being read. */
interface Reading {
  readonly fiber: Fiber.Fiber<List, McpClientError.McpClientError>
  /** by the clock, in milliseconds */
  readonly startedAt: number
}

/** Begins to read the list. */
type Read = (last: List) => Reading["fiber"]

class Following extends Effectable.Class<Toolkit.WithHandler<Tools>> implements KeptToolkit {
  readonly #client: KeptMcpClient
  readonly #waitForList: Duration.Duration
  readonly #read: Read
  #list: List
  #reading: Reading | undefined
  #failure: McpClientError.McpClientError | undefined
  #hasEnded = false

  constructor(client: KeptMcpClient, list: List, waitForList: Duration.Duration, read: Read) {
    super()
    this.#client = client
    this.#list = list
    this.#waitForList = waitForList
    this.#read = read
  }

  readonly failure = Effect.sync(() => Option.fromUndefinedOr(this.#failure))

  readonly refresh = Effect.suspend(() => {
    if (this.#hasEnded) return Effect.fail(ended)
    return Effect.flatMap(this.#begun, ({ fiber }) => Fiber.await(fiber))
  }).pipe(
    // it ends with the scope
    Effect.flatMap((exit) => (Exit.hasInterrupts(exit) ? Effect.fail(ended) : exit)),
    Effect.map(({ toolkit }) => toolkit)
  )

  override asEffect(): Effect.Effect<Toolkit.WithHandler<Tools>> {
    return Effect.gen({ self: this }, function* () {
      const revision = yield* this.#client.transport.toolListRevision
      // a second time where the reading had begun before the newest change
      while (!this.#hasEnded && this.#list.revision < revision) {
        const exit = yield* Effect.flatMap(this.#begun, (reading) => this.#inTime(reading))
        if (Option.isNone(exit) || Exit.isFailure(exit.value)) break
      }
      return this.#list.toolkit
    })
  }

  end(): void {
    this.#hasEnded = true
  }

  /** The reading that is under way, or a new one. */
  readonly #begun = Effect.map(Clock.currentTimeMillis, (startedAt): Reading => {
    if (this.#reading !== undefined) return this.#reading
    const reading = { fiber: this.#read(this.#list), startedAt }
    this.#reading = reading
    reading.fiber.addObserver((exit) => {
      this.#reading = undefined
      this.#settled(exit)
    })
    return reading
  })

  #settled(exit: Exit.Exit<List, McpClientError.McpClientError>): void {
    if (Exit.isSuccess(exit)) this.#list = exit.value
    this.#failure = Option.getOrUndefined(Exit.findErrorOption(exit))
  }

  #inTime({ fiber, startedAt }: Reading) {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = Duration.subtract(this.#waitForList, Duration.millis(now - startedAt))
      return Effect.timeoutOption(Fiber.await(fiber), Duration.max(left, Duration.zero))
    })
  }
}
