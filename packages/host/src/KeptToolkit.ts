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
import type * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as McpClient from "effect/ai/McpClient"
import * as McpClientError from "effect/ai/McpClientError"
import type * as McpSchema from "effect/ai/McpSchema"
import * as Tool from "effect/ai/Tool"
import * as Toolkit from "effect/ai/Toolkit"
import type { KeptMcpClient } from "./KeptMcpClient.ts"

// ------------------------------------------------------------------------------------------------------------- models

/**
 * Tools as `McpClient.toolkit` makes them, where `Mode` is `"error"`.
 *
 * @since 0.1.0
 */
export type Tools<Mode extends Tool.FailureMode = "error"> = Record<
  string,
  Tool.Tool<
    string,
    {
      readonly parameters: typeof Schema.Unknown
      readonly success: typeof Schema.String
      readonly failure: typeof McpClientError.McpClientError
      readonly failureMode: Mode
    }
  >
>

/**
 * An Effect that gives the present tools, and so what `toolkit` of `LanguageModel.generateText` takes: each turn of a model has the
 * tools that are there then. Where nothing has changed it asks nobody; else it lists the tools first, once for all who want them.
 * It does not fail: where the list cannot be had, the last one stays (see `failure`).
 *
 * @since 0.1.0
 */
export interface KeptToolkit<Mode extends Tool.FailureMode = "error"> extends Effect.Effect<
  Toolkit.WithHandler<Tools<Mode>>
> {
  /** Lists the tools now, also where the server did not say that they have changed. */
  readonly refresh: Effect.Effect<Toolkit.WithHandler<Tools<Mode>>, McpClientError.McpClientError>
  /** Why the present tools may be old: what the last listing failed with. */
  readonly failure: Effect.Effect<Option.Option<McpClientError.McpClientError>>
}

/**
 * What {@link make} takes.
 *
 * @since 0.1.0
 */
export interface Options<Mode extends Tool.FailureMode = "error"> {
  /** Stands before the name of each tool. Default: nothing */
  readonly prefix?: string | undefined
  /**
   * What becomes of a call that fails, for whatever reason: with `"error"` the model's turn fails, with `"return"` the model is told,
   * and goes on. Default: `"error"`, as with `McpClient.toolkit`
   */
  readonly failureMode?: Mode | undefined
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
export function make(
  client: KeptMcpClient,
  options?: Options
): Effect.Effect<KeptToolkit, McpClientError.McpClientError, Scope.Scope>
/** @since 0.1.0 */
export function make(
  client: KeptMcpClient,
  options: Options<"return">
): Effect.Effect<KeptToolkit<"return">, McpClientError.McpClientError, Scope.Scope>
export function make(
  client: KeptMcpClient,
  options: Options<Tool.FailureMode> = {}
): Effect.Effect<KeptToolkit | KeptToolkit<"return">, McpClientError.McpClientError, Scope.Scope> {
  return options.failureMode === "return"
    ? follow(client, options, returning)
    : follow(client, options, (toolkit) => Effect.succeed(toolkit))
}

// ----------------------------------------------------------------------------------------------------------- internal

const wrongWait = new McpClientError.McpClientError({
  reason: new McpClientError.ConfigurationError({ description: "waitForList: expected a duration of 0 or longer" })
})

const ended = new McpClientError.McpClientError({
  reason: new McpClientError.ClosedError({ description: "The scope of the toolkit has ended" })
})

const follow = <Mode extends Tool.FailureMode>(
  client: KeptMcpClient,
  options: Options<Tool.FailureMode>,
  adapt: Adapt<Mode>
): Effect.Effect<KeptToolkit<Mode>, McpClientError.McpClientError, Scope.Scope> =>
  Effect.gen(function* () {
    const waitForList = Option.getOrUndefined(Duration.fromInput(options.waitForList ?? "5 seconds"))
    if (waitForList === undefined || Duration.isNegative(waitForList)) return yield* wrongWait
    const read = reader(client, options.prefix, adapt)
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const scope = yield* Effect.scope
    const first = yield* read(undefined)
    const reread = (last: List<Mode>) =>
      Effect.tapError(read(last), ({ reason }) =>
        Effect.logWarning("The tools of an MCP server could not be listed: the last list stays").pipe(
          Effect.annotateLogs({ backend: client.transport.backend.id, reason: reason._tag })
        )
      )
    const kept = new Following<Mode>(client, first, waitForList, (last) => Fiber.runIn(run(reread(last)), scope))
    yield* Effect.addFinalizer(() => Effect.sync(() => kept.end()))
    return kept
  })

/** A list of tools, and what was made of it. */
interface List<Mode extends Tool.FailureMode> {
  readonly toolkit: Toolkit.WithHandler<Tools<Mode>>
  readonly tools: Listed
  /** what the transport said when the reading began: what is told later is not in it */
  readonly revision: number
}

/** Makes of Effect's toolkit the one that is wanted. */
type Adapt<Mode extends Tool.FailureMode> = (
  toolkit: Toolkit.WithHandler<Tools>
) => Effect.Effect<Toolkit.WithHandler<Tools<Mode>>>

/** Reads the list. Where it is as it was, in whatever order, the toolkit stays the same: what was made for its schemas is kept. */
const reader = <Mode extends Tool.FailureMode>(client: KeptMcpClient, prefix: string | undefined, adapt: Adapt<Mode>) =>
  Effect.fnUntraced(function* (
    last: List<Mode> | undefined
  ): Effect.fn.Return<List<Mode>, McpClientError.McpClientError> {
    const revision = yield* client.transport.toolListRevision
    const listed = yield* client.listTools()
    const tools = new Map(listed.map((tool) => [tool.name, tool]))
    if (last !== undefined && areSame(tools, last.tools)) return { ...last, revision }
    const known = { ...client, listTools: () => Effect.succeed(listed) }
    return { toolkit: yield* adapt(yield* McpClient.toolkit(known, prefix)), tools, revision }
  })

/** The same tools, whose failures are results. */
const returning: Adapt<"return"> = ({ handle, tools }) => {
  const toolkit = Toolkit.make(
    ...Object.values(tools).map((tool) =>
      Tool.dynamic(tool.name, {
        parameters: Tool.getJsonSchema(tool),
        description: tool.description,
        success: tool.successSchema,
        failure: tool.failureSchema,
        failureMode: "return"
      }).annotateMerge(tool.annotations)
    )
  )
  const call = (name: string) => (params: unknown) =>
    handle(name, params).pipe(
      Effect.flatMap((results) => Stream.runLast(results)),
      Effect.flatMap((last) => {
        const text = Option.getOrUndefined(last)?.result
        // where failures are none of the results, there is one, and that is the text
        return typeof text === "string" ? Effect.succeed(text) : Effect.die("A tool has ended without a result")
      })
    )
  const handlers = Object.fromEntries(Object.keys(tools).map((name) => [name, call(name)]))
  return Effect.flatMap(toolkit.toHandlers(handlers), (context) => Effect.provideContext(toolkit, context))
}

type Listed = ReadonlyMap<string, McpSchema.Tool>

const areSame = (tools: Listed, others: Listed): boolean => {
  try {
    return Equal.equals(tools, others)
  } catch {
    // The stack does not suffice for schemas of 2,000 levels.
    return false
  }
}

/** A list that is being read. */
interface Reading<Mode extends Tool.FailureMode> {
  readonly fiber: Fiber.Fiber<List<Mode>, McpClientError.McpClientError>
  /** by the clock, in milliseconds */
  readonly startedAt: number
}

/** Begins to read the list. */
type Read<Mode extends Tool.FailureMode> = (last: List<Mode>) => Reading<Mode>["fiber"]

class Following<Mode extends Tool.FailureMode>
  extends Effectable.Class<Toolkit.WithHandler<Tools<Mode>>>
  implements KeptToolkit<Mode>
{
  readonly #client: KeptMcpClient
  readonly #waitForList: Duration.Duration
  readonly #read: Read<Mode>
  #list: List<Mode>
  #reading: Reading<Mode> | undefined
  #failure: McpClientError.McpClientError | undefined
  #hasEnded = false

  constructor(client: KeptMcpClient, list: List<Mode>, waitForList: Duration.Duration, read: Read<Mode>) {
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

  override asEffect(): Effect.Effect<Toolkit.WithHandler<Tools<Mode>>> {
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
  readonly #begun = Effect.map(Clock.currentTimeMillis, (startedAt): Reading<Mode> => {
    if (this.#reading !== undefined) return this.#reading
    const reading = { fiber: this.#read(this.#list), startedAt }
    this.#reading = reading
    reading.fiber.addObserver((exit) => {
      this.#reading = undefined
      this.#settled(exit)
    })
    return reading
  })

  #settled(exit: Exit.Exit<List<Mode>, McpClientError.McpClientError>): void {
    if (Exit.isSuccess(exit)) this.#list = exit.value
    this.#failure = Option.getOrUndefined(Exit.findErrorOption(exit))
  }

  #inTime({ fiber, startedAt }: Reading<Mode>) {
    return Effect.flatMap(Clock.currentTimeMillis, (now) => {
      const left = Duration.subtract(this.#waitForList, Duration.millis(now - startedAt))
      return Effect.timeoutOption(Fiber.await(fiber), Duration.max(left, Duration.zero))
    })
  }
}
