/** `pnpm demo`: what an agent host goes through with its MCP servers, played on real ones; or the user's own, kept alive. */
import { NodeRuntime, NodeServices } from "@effect/platform-node"
import { KeepaliveMetrics } from "@vmcp-keepalive/otel"
import { Console, Context, Data, Effect, Layer, Option, Runtime } from "effect"
import { CliConfig, CliOutput, Command, Flag, GlobalFlag } from "effect/cli"
import { hangup } from "./Hangup.ts"
import * as HttpFaults from "./HttpFaults.ts"
import * as Journal from "./Journal.ts"
import * as Kept from "./Kept.ts"
import * as Report from "./Report.ts"
import * as StdioFaults from "./StdioFaults.ts"
import * as Style from "./Style.ts"
import * as Tour from "./Tour.ts"
import * as World from "./World.ts"

/** An expectation was not met, as the report already said. */
class NotMet extends Data.TaggedError("NotMet") {
  override readonly [Runtime.errorExitCode] = 1
  override readonly [Runtime.errorReported] = false
}

/** Serves the metrics of what this context is given to. */
const serveMetrics = (port: number) =>
  Layer.build(KeepaliveMetrics.layerPrometheus({ port })).pipe(
    Effect.catch(({ message }) => Effect.andThen(Console.error(message), new NotMet()))
  )

const flags = {
  config: Flag.String("config").pipe(
    Flag.withDescription(
      "Play no tour, and keep the servers of this configuration file alive, until Ctrl-C; edits are taken while it runs"
    ),
    Flag.optional
  ),
  json: Flag.Boolean("json").pipe(
    Flag.withDescription("Print the closing table as JSON on stdout, and the lines on stderr"),
    Flag.withDefault(false)
  ),
  metricsPort: Flag.Int("metrics-port").pipe(
    Flag.withDescription("Serve the metrics for Prometheus on this port of 127.0.0.1, or on any free one if it is 0"),
    Flag.optional
  ),
  watch: Flag.Boolean("watch").pipe(
    Flag.withDescription("Keep running after the tour, until Ctrl-C"),
    Flag.withDefault(false)
  ),
  withoutFaults: Flag.Boolean("without-faults").pipe(
    Flag.withDescription("Inject nothing, which shows that every expectation can fail"),
    Flag.withDefault(false),
    Flag.withHidden
  )
}

const demo = Command.make(
  "demo",
  flags,
  Effect.fn(function* ({ config, json, metricsPort, watch, withoutFaults }) {
    const startedAt = performance.now()
    const output = json ? process.stderr : process.stdout
    const style = Style.make(Style.isWanted(output))
    const say = (text: string) => output.write(`${text}\n`)

    const tour = Effect.gen(function* () {
      yield* Effect.sync(() =>
        say(
          style.dim(
            "seven MCP servers, five over HTTP and two over stdio, are called four times a second, and come to harm …\n"
          )
        )
      )
      const journal = Journal.make((entry) => {
        const line = Report.line(entry, { startedAt, style, width: 12 })
        if (line !== undefined) say(line)
      })
      const world = yield* World.make(journal)
      const faults = [...HttpFaults.make(world), ...StdioFaults.make(world)]
      const measured = yield* Tour.play(world, faults, journal, { withFaults: !withoutFaults })
      const report = Report.make({ ...measured, duration: performance.now() - startedAt })

      if (json) yield* Console.log(Report.json(report))
      else say(`\n${Report.table(report, style)}`)
      if (watch) {
        say("\nstill running; Ctrl-C ends it")
        return yield* Effect.never
      }
      if (!report.met) return yield* new NotMet()
    })
    if (Option.isSome(config) && json) {
      yield* Console.error("--json prints the table of the tour, and with --config there is none")
      return yield* new NotMet()
    }
    const kept = (path: string) =>
      Kept.keep(path, { startedAt, style, say, complain: (text) => process.stderr.write(`${text}\n`) }).pipe(
        // every mistake has been named
        Effect.catchTag("Unusable", () => new NotMet())
      )
    const program = Option.match(config, { onNone: () => tour, onSome: kept })
    if (Option.isNone(metricsPort)) return yield* program
    const metrics = yield* serveMetrics(metricsPort.value)
    say(`metrics: ${Context.get(metrics, KeepaliveMetrics.PrometheusEndpoint).url}\n`)
    yield* Effect.provide(program, metrics)
  }, Effect.scoped)
).pipe(
  Command.withDescription(
    "Keeps seven real MCP servers alive, calls their tools all the time, and plays a tour of faults on them. The exit code is 0 only if each led to what it must. With --config it keeps your own servers alive instead."
  )
)

/** A wrong invocation is told on stderr: stdout is for what was asked for. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`${event.errors.map(({ message }) => message).join("\n")}\n--help shows what there is`)
      : CliOutput.defaultPresenter.present(event)
}

Command.run(demo, { version: "0.0.0" }).pipe(
  Effect.raceFirst(Effect.andThen(hangup, Effect.interrupt)),
  Effect.provide([
    CliConfig.layer({ builtIns: [GlobalFlag.Help] }),
    CliOutput.layerPresenter(presenter),
    NodeServices.layer
  ]),
  NodeRuntime.runMain
)
