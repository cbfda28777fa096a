/** The command line: what there is to run, and how it is asked for. */
import * as NodeServices from "@effect/platform-node/NodeServices"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import * as Argument from "effect/cli/Argument"
import * as CliConfig from "effect/cli/CliConfig"
import * as CliOutput from "effect/cli/CliOutput"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as GlobalFlag from "effect/cli/GlobalFlag"
import { createRequire } from "node:module"
import { check } from "./check.ts"
import { importing, programs } from "./import.ts"
import { schema } from "./schema.ts"

const config = Flag.String("config").pipe(
  Flag.withMetavar("FILE"),
  Flag.withDescription("The configuration file: JSON with comments, TOML or YAML, in the words of any MCP host")
)

const checkCommand = Command.make(
  "check",
  {
    config,
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print what is found as one JSON object on stdout"),
      Flag.withDefault(false)
    )
  },
  check
).pipe(
  Command.withDescription(
    "Tells everything that is wrong with a configuration file, by line; exit code 1 if anything is"
  ),
  Command.withExamples([{ command: "vmcp-keepalive check --config mcp.json" }])
)

const schemaCommand = Command.make("schema", {}, schema).pipe(
  Command.withDescription("Prints the JSON Schema of configuration files, for editors"),
  Command.withExamples([{ command: "vmcp-keepalive schema > mcp.schema.json" }])
)

const importCommand = Command.make(
  "import",
  {
    file: Argument.String("FILE").pipe(Argument.withDescription("A file of the other program")),
    from: Flag.Literals("from", programs).pipe(
      Flag.withDescription(
        "Which program: toolhive's virtual MCP server, or one of the two that this library learned from"
      ),
      Flag.withDefault("toolhive" as const)
    )
  },
  importing
).pipe(
  Command.withDescription("Prints what another program's file says as a configuration file of ours"),
  Command.withExamples([{ command: "vmcp-keepalive import --from toolhive vmcp.yaml > mcp.json" }])
)

const program = Command.make("vmcp-keepalive").pipe(
  Command.withDescription("Many MCP servers as one, whose connection to its hosts survives the death of any of them"),
  Command.withSubcommands([checkCommand, schemaCommand, importCommand])
)

/** A wrong invocation is told on stderr: stdout is for what was asked for. */
const presenter: CliOutput.Presenter = {
  present: (event) =>
    event._tag === "InvalidInvocation"
      ? Console.error(`${event.errors.map(({ message }) => message).join("\n")}\n--help shows what there is`)
      : CliOutput.defaultPresenter.present(event)
}

const { version }: { readonly version: string } = createRequire(import.meta.url)("../../../package.json")

/** Without handlers of signals: a command that ends well by one has its own. */
const runMain = Runtime.makeRunMain(({ fiber, teardown }) =>
  fiber.addObserver((exit) => teardown(exit, (code) => (process.exitCode = code)))
)

/** Runs the command that the arguments of this process name. */
export const main = () =>
  Command.run(program, { version }).pipe(
    Effect.provide([
      CliConfig.layer({ builtIns: [GlobalFlag.Help, GlobalFlag.Version, GlobalFlag.Completions] }),
      CliOutput.layerPresenter(presenter),
      NodeServices.layer
    ]),
    runMain
  )
