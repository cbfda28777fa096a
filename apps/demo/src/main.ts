/** `pnpm demo`: a gateway with its page, on real MCP servers that come to harm; or on the user's own. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import { KeepaliveMetrics } from "@vmcp-keepalive/otel"
import { Console, Data, Effect, Layer, Option, Runtime } from "effect"
import type { FileSystem, Path, Scope } from "effect"
import { CliConfig, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import * as Buttons from "./Buttons.ts"
import * as HostClient from "./HostClient.ts"
import * as HttpFaults from "./HttpFaults.ts"
import * as Journal from "./Journal.ts"
import * as Kept from "./Kept.ts"
import * as Pressed from "./Pressed.ts"
import * as Report from "./Report.ts"
import * as Serving from "./Serving.ts"
import * as StdioFaults from "./StdioFaults.ts"
import * as Stopping from "./Stopping.ts"
import * as Style from "./Style.ts"
import * as Tour from "./Tour.ts"
import * as World from "./World.ts"
import type { Endpoint } from "vmcp-keepalive"

/** What was asked for was not done, as has been told. */
class NotMet extends Data.TaggedError("NotMet") {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

const fail = (text: string) => Effect.andThen(Console.error(text), new NotMet())

const flags = {
  config: Flag.String("config").pipe(
    Flag.withMetavar("FILE"),
    Flag.withDescription(
      "Play no tour: the gateway is one for the servers of this file, whose edits are taken while it runs"
    ),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the closing table as JSON on stdout, and everything else on stderr"),
    Flag.withDefault(false)
  ),
  once: Flag.Boolean("once").pipe(
    Flag.withDescription("End after the tour: the exit code is 0 only if each fault led to what it must"),
    Flag.withDefault(false)
  ),
  port: Flag.Int("port").pipe(
    Flag.withMetavar("PORT"),
    Flag.withDescription(
      `Serve on this port of 127.0.0.1, or on any free one if it is 0; default ${Serving.usualPort}, and any where that is in use`
    ),
    Flag.optional
  ),
  withoutFaults: Flag.Boolean("without-faults").pipe(
    Flag.withDescription("Inject nothing, which shows that every expectation can fail"),
    Flag.withDefault(false),
    Flag.withHidden
  )
}

type Flags = Command.Command.Config.Infer<typeof flags>

/** What the program is when it is asked to end. */
interface Course {
  ending: Effect.Effect<void, NotMet>
}

const demo = Effect.fn(function* (asked: Flags, course: Course) {
  const output = asked.json ? process.stderr : process.stdout
  const style = Style.of(output)
  const say = (text: string) => output.write(`${text}\n`)
  const options = { style, say, startedAt: performance.now(), isTerminal: output.isTTY === true }
  const { config, json, once } = asked
  const port = Option.getOrUndefined(asked.port)
  if (port !== undefined && (port < 0 || port > 65_535)) return yield* fail("--port takes a port from 0 to 65535")
  if (Option.isNone(config)) return yield* tour(asked, course, options)
  if (json || once) return yield* fail("--json and --once are of the tour, and with --config there is none")
  return yield* Kept.keep(config.value, {
    ...options,
    port,
    complain: (text) => process.stderr.write(`${text}\n`),
    serves: (serving) => {
      course.ending = Effect.void
      for (const line of Serving.lines(serving, style, { withToken: options.isTerminal })) say(line)
    }
  })
})

interface Telling {
  readonly style: Style.Style
  readonly say: (text: string) => void
  readonly startedAt: number
}

const tour = Effect.fn(function* (
  { json, once, port, withoutFaults }: Flags,
  course: Course,
  options: Telling
): Effect.fn.Return<
  void,
  NotMet | World.WorldError | Endpoint.ListenError,
  Scope.Scope | FileSystem.FileSystem | Path.Path
> {
  const { say, startedAt, style } = options
  const pressed = yield* Pressed.make
  const services = yield* Effect.context<never>()
  const journal = Journal.make((entry) => {
    const line = Report.line(entry, { startedAt, style, width: 12 })
    if (line !== undefined) say(line)
    const mark = markOf(entry)
    if (mark !== undefined) Effect.runForkWith(services)(pressed.mark(entry.backend, mark))
  })
  const empty = yield* World.empty(journal)
  const serving = yield* Serving.make({
    fleet: empty.fleet,
    port: Option.getOrUndefined(port),
    extras: pressed.extras
  })
  // the servers are the demo's own, and so is what their operator may do
  const addresses = () => Serving.lines(serving, style, { withToken: true }).join("\n")
  say(`${addresses()}\n`)
  say(
    style.dim(
      "seven MCP servers, five over HTTP and two over stdio, are called four times a second, and come to harm …\n"
    )
  )
  const world = yield* World.make(empty, serving.show)
  const release = yield* pressed.withhold(Buttons.all(world), "The tour is playing: its faults come first.")
  const measured = yield* Tour.play(world, {
    faults: [...HttpFaults.make(world), ...StdioFaults.make(world)],
    journal,
    client: yield* HostClient.make(serving.mcp, World.places(world)),
    withFaults: !withoutFaults
  })
  const report = Report.make({ ...measured, duration: performance.now() - startedAt })
  if (json) yield* Console.log(Report.json(report))
  else say(`\n${Report.table(report, style)}`)
  course.ending = report.met ? Effect.void : new NotMet()
  if (once) return yield* course.ending
  journal.forget()
  yield* release
  say(`\n${addresses()}\n\nIt keeps running, and the page has buttons that do harm; Ctrl-C ends it.\n`)
  return yield* Effect.never
})

/** What the tour does to a backend, as the page tells it. */
const markOf = (entry: Journal.Entry): string | undefined =>
  entry._tag !== "Remark" || entry.kind === "told"
    ? undefined
    : entry.kind === "fault"
      ? `Fault: ${entry.text}`
      : `Over: ${entry.text}`

const command = Command.make("demo", flags, (asked) => {
  // asked to end before it has what it was started for, it is interrupted
  const course: Course = { ending: Effect.interrupt }
  return demo(asked, course).pipe(
    Effect.provide(Layer.orDie(KeepaliveMetrics.layer())),
    // every mistake of the file has been named
    Effect.catchTag("Unusable", () => new NotMet()),
    Effect.catchTag("ListenError", ({ message, reason }) =>
      fail(reason === "port_in_use" ? `${message}: choose another port with --port (0 is any free one)` : message)
    ),
    Effect.raceFirst(
      Effect.andThen(
        Stopping.asked,
        Effect.suspend(() => course.ending)
      )
    ),
    Effect.scoped
  )
}).pipe(
  Command.withDescription(
    "A gateway with its page, on seven real MCP servers, on which it plays a tour of faults and keeps running. With --config it is the gateway of your own servers."
  )
)

/** A wrong invocation is told on stderr: stdout is for what was asked for. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`${event.errors.map(({ message }) => message).join("\n")}\n--help shows what there is`)
      : CliOutput.defaultPresenter.present(event)
}

/** Without handlers of signals, which the program has itself. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) =>
  fiber.addObserver((exit) => teardown(exit, (code) => (process.exitCode = code)))
)

Command.run(command, { version: "0.0.0" }).pipe(
  Effect.provide([
    CliConfig.layer({ builtIns: [GlobalFlag.Help] }),
    CliOutput.layerPresenter(presenter),
    NodeServices.layer
  ]),
  runMain
)
