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
import { certificates, ledgerVariable, variable as clusterVariable } from "./cluster.ts"
import { importing, programs } from "./import.ts"
import { defaultPort } from "./preparing.ts"
import { schema } from "./schema.ts"
import { serve } from "./serve.ts"
import { status } from "./status.ts"

const config = Flag.String("config").pipe(
  Flag.withMetavar("FILE"),
  Flag.withDescription("The configuration file: JSON with comments, TOML or YAML, in the words of any MCP host")
)

const port = (name: string) => Flag.Int(name).pipe(Flag.withMetavar("PORT"), Flag.optional)

const serveCommand = Command.make(
  "serve",
  {
    config,
    port: port("port").pipe(
      Flag.withDescription(
        `Serve over HTTP on this port, or on any free one if it is 0; without --stdio ${defaultPort}`
      )
    ),
    stdio: Flag.Boolean("stdio").pipe(
      Flag.withDescription("Speak MCP over stdin and stdout, as the server of one host; over HTTP only with --port"),
      Flag.withDefault(false)
    ),
    host: Flag.String("host").pipe(
      Flag.withMetavar("HOST"),
      Flag.withDescription("The address to listen on; other than loopback only with --allow-host"),
      Flag.withDefault("127.0.0.1")
    ),
    allowHost: Flag.String("allow-host").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription("A name by which this gateway is reached beside localhost; may be given again"),
      Flag.between(0, 100)
    ),
    metricsPort: port("metrics-port").pipe(
      Flag.withDescription("Serve the metrics for Prometheus on a port of their own")
    ),
    state: Flag.String("state").pipe(
      Flag.withMetavar("DIR"),
      Flag.withDescription(
        "The folder of what outlives this process; default $XDG_STATE_HOME/vmcp-keepalive or ~/.local/state/vmcp-keepalive"
      ),
      Flag.optional
    ),
    cluster: Flag.Redacted("cluster").pipe(
      Flag.withMetavar("URL"),
      Flag.withDescription(
        `Share the backends with every gateway that has this Postgres database, each kept by one of them; better in ${clusterVariable}, since a command line is no place for a password`
      ),
      Flag.optional
    ),
    address: Flag.String("address").pipe(
      Flag.withMetavar("HOST:PORT"),
      Flag.withDescription("Where the other gateways of the cluster reach this one"),
      Flag.optional
    ),
    lease: Flag.String("lease").pipe(
      Flag.withMetavar("DURATION"),
      Flag.withDescription(
        "How long this gateway keeps backends without a word from the database, the same in all; default 15 seconds"
      ),
      Flag.optional
    ),
    allowLoopback: Flag.Boolean("allow-loopback").pipe(
      Flag.withDescription("All gateways of the cluster are on this machine, and reach each other by loopback"),
      Flag.withDefault(false)
    ),
    clusterTls: Flag.String("cluster-tls").pipe(
      Flag.withMetavar("DIR"),
      Flag.withDescription(
        `Speak mutual TLS with the other gateways: a folder with ${Object.values(certificates).join(", ")}, as a Secret of Kubernetes has them`
      ),
      Flag.optional
    ),
    clusterTlsName: Flag.String("cluster-tls-name").pipe(
      Flag.withMetavar("NAME"),
      Flag.withDescription(
        "The name that the certificates of all gateways are for, in place of the hosts of their addresses"
      ),
      Flag.optional
    ),
    clusterDeclareDead: Flag.Literals("cluster-declare-dead", ["lease", "refused"]).pipe(
      Flag.withDescription(
        "When the backends of a gateway that died are taken over: once its lease has ended, or as soon as its address refuses connections, which is sooner and less certain; default lease"
      ),
      Flag.optional
    ),
    clusterOriginStarts: Flag.Int("cluster-origin-starts").pipe(
      Flag.withMetavar("NUMBER"),
      Flag.withDescription("How many sessions all gateways together open at a time at one origin; default 8"),
      Flag.optional
    ),
    open: Flag.Boolean("open").pipe(Flag.withDescription("Open the page in a browser"), Flag.withDefault(false)),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("One JSON object a line: the addresses on stdout, what happens on stderr"),
      Flag.withDefault(false)
    )
  },
  serve
).pipe(
  Command.withDescription(
    "Serves the servers of a configuration file as one MCP server, with a live page; edits of the file are taken while it runs"
  ),
  Command.withExamples([
    { command: "vmcp-keepalive serve --config mcp.json --open" },
    { command: "vmcp-keepalive serve --config mcp.json --stdio", description: "As the one server of an IDE" },
    {
      command: "vmcp-keepalive serve --config mcp.json --host 0.0.0.0 --allow-host mcp.example.com",
      description: "For other machines; set VMCP_CLIENT_TOKEN"
    },
    {
      command: "vmcp-keepalive serve --config mcp.json --address 10.0.0.7:7777",
      description: `As one of several; set ${clusterVariable}, and ${ledgerVariable} where servers allow one session only`
    }
  ])
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

const statusCommand = Command.make(
  "status",
  {
    url: Flag.String("url").pipe(
      Flag.withMetavar("URL"),
      Flag.withDescription("The address of the gateway"),
      Flag.withDefault("http://127.0.0.1:8931")
    ),
    json: Flag.Boolean("json").pipe(
      Flag.withDescription("Print what it answers, as one JSON object on a line"),
      Flag.withDefault(false)
    ),
    watch: Flag.Boolean("watch").pipe(
      Flag.withDescription("Ask again every two seconds, until Ctrl-C"),
      Flag.withDefault(false)
    ),
    exitCode: Flag.Boolean("exit-code").pipe(
      Flag.withDescription("Fail also where a backend that is required is not connected"),
      Flag.withDefault(false)
    )
  },
  status
).pipe(
  Command.withDescription("Shows how the backends of a running gateway are; exit code 1 if it does not answer"),
  Command.withExamples([
    { command: "vmcp-keepalive status" },
    { command: "vmcp-keepalive status --url http://127.0.0.1:8931 --exit-code", description: "As a health check" }
  ])
)

const program = Command.make("vmcp-keepalive").pipe(
  Command.withDescription("Many MCP servers as one, whose connection to its hosts survives the death of any of them"),
  Command.withSubcommands([serveCommand, checkCommand, schemaCommand, importCommand, statusCommand])
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
