/**
 * Backends of a fleet that are child processes: what their specs say, beside what only code can say of all of them.
 */
import { type Connector, Fleet } from "@vmcp-keepalive/core"
import type * as Layer from "effect/Layer"
import * as Record from "effect/Record"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import type * as Settings from "./settings.ts"

/** How one backend is started, as data. */
export interface StdioSettings {
  readonly kind: "stdio"
  /** The executable: looked for in `PATH` unless it has a slash, and then seen from `cwd`. No shell reads it. */
  readonly command: Settings.Text
  /** Its arguments, each as it is. Default: none. */
  readonly args?: ReadonlyArray<Settings.Text> | undefined
  /**
   * Environment variables of the child, beside those that the MCP SDKs take for safe. A redacted value of fewer than four characters,
   * such as the `1` of a flag, is not taken out of what the child writes to stderr. Default: none.
   */
  readonly env?: Readonly<Record<string, Settings.Text>> | undefined
  /** The directory in which it starts; it must exist. Default: that of this process. */
  readonly cwd?: Settings.Text | undefined
}

/** What holds for every backend of the fleet that is a child process, and data cannot say. */
export type Options = Omit<Settings.Options, "command" | "args" | "env" | "cwd">

/** A transport for settings of the kind `stdio`; `make` gets them as options of a connector. */
export const layer = <Client>(
  options: Options,
  make: (options: Settings.Options, settings: StdioSettings) => Connector.Connector<Client>
): Layer.Layer<Fleet.Transport<Client>> =>
  Fleet.layerTransport("stdio", {
    is: isStdio,
    make: (settings) => {
      const { args, command, cwd, env = {} } = settings
      return make({ ...options, command, args, env: Record.map(env, asSecret), cwd }, settings)
    }
  })

/** Files do not say which values are secrets: one so short stands in other texts, and its gaps in them would tell it. */
const asSecret = (text: Settings.Text): Settings.Text =>
  Redacted.isRedacted(text) && Redacted.value(text).length < shortestSecret ? Redacted.value(text) : text

const shortestSecret = 4

const Text = Schema.Union([Schema.String, Schema.Redacted(Schema.String)])

const isStdio: (settings: unknown) => settings is StdioSettings = Schema.is(
  Schema.Struct({
    kind: Schema.Literal("stdio"),
    command: Text,
    args: Schema.optional(Schema.Array(Text)),
    env: Schema.optional(Schema.Record(Schema.String, Text)),
    cwd: Schema.optional(Text)
  })
)
