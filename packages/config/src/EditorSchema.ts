/**
 * What editors know of the files: completion, explanations, and an error for a key of `keepalive` that is wrong.
 */
import { KeepalivePolicy } from "@vmcp-keepalive/core"
import * as JsonSchema from "effect/JsonSchema"
import * as Record from "effect/Record"
import * as Schema from "effect/Schema"
import { docs, Entry } from "./internal/entry.ts"

/**
 * The JSON Schema of the files, draft-07, which VS Code knows in full; the same as `@vmcp-keepalive/config/schema.json`. It is made of the
 * Schemas by which the files are read. `keepalive` is closed; a server and the file are open, since other programs read them too.
 *
 * @since 0.1.0
 */
export const make = (): JsonSchema.JsonSchema => {
  const { definitions, schema } = JsonSchema.toDocumentDraft07(
    Schema.toJsonSchemaDocument(File, {
      onExcessProperty: "error",
      includeAnnotationKey: (key) => key === "markdownDescription" || key === "defaultSnippets"
    })
  )
  return worded({ $schema: JsonSchema.META_SCHEMA_URI_DRAFT_07, ...schema, definitions })
}

// ----------------------------------------------------------------------------------------------------------- keepalive

const snippets = (...bodies: ReadonlyArray<string>) => ({
  defaultSnippets: bodies.map((body) => ({ label: body, body }))
})

/** What is said of each setting: a setting without a word here does not compile. */
const settings: { readonly [Name in keyof typeof KeepalivePolicy.FileOptions.fields]: Schema.Annotations.Annotations } =
  {
    interval: docs("Time between probes of a healthy session, ±10 %: 5 to 300 seconds.", {
      default: "300 seconds",
      ...snippets("30 seconds", "1 minute", "5 minutes")
    }),
    probe: docs(
      "How to ask whether the server lives: `ping` and `discover` are the same, each server is asked by its protocol version.",
      {
        default: "auto",
        defaultSnippets: [
          ...["auto", "ping", "list-tools", "options", "discover", "none"].map((body) => ({ label: body, body })),
          { label: "a tool", body: { method: "tool", tool: { name: "${1:status}" } } }
        ]
      }
    ),
    timeout: docs("Bound of one probe, shorter than `interval`. Default: 10 seconds, or half the interval."),
    confirmInterval: docs("Time between probes once one has failed. Default: 5 seconds, or the interval."),
    failureThreshold: docs("Failed probes in a row that end a session.", { default: 3 }),
    fallbackAfter: docs("Pings in a row that met silence, after which the configured tool is asked.", { default: 2 }),
    connectTimeout: docs("Bound of a whole attempt to connect. Default: 30 seconds; stdio: 120 seconds."),
    backoff: docs(
      "Delays between attempts: `initial`, × `factor`, up to `cap`. Default: 1 second, × 2, up to 300 seconds."
    ),
    circuit: docs("After how many failed attempts calls are rejected at once, and for how long; or `none`.", {
      defaultSnippets: [
        { label: "none", body: "none" },
        { label: "{ failures, openFor }", body: { failures: 5, openFor: "${1:30 seconds}" } }
      ]
    }),
    stableAfter: docs("How long a session must live, and then answer, before backoff and circuit start afresh.", {
      default: "30 seconds"
    }),
    waitForSession: docs("How long a call waits for a session.", { default: "10 seconds" }),
    staleAfter: docs("Silence after which a call is preceded by a probe.", { default: "60 seconds" }),
    inFlightGrace: docs("How long a call in flight excuses silent probes after the last byte of its answer.", {
      default: "5 minutes"
    }),
    drainTimeout: docs("How long a session that is replaced may finish its calls.", { default: "30 seconds" }),
    removalGrace: docs(
      "How long a tool, prompt or resource that the server does not list any more is kept before it is told to be removed.",
      { default: "30 seconds" }
    ),
    connect: docs("Connect when made (`eager`), or for the first call (`lazy`).", { default: "eager" }),
    reattempt: docs(
      "When a stable session that was lost is attempted anew: at once, or after the first delay of `backoff`.",
      {
        default: "immediate"
      }
    ),
    idleAfter: docs("Close the session of a server that nobody calls for so long.", { default: "never" }),
    maxLifetime: docs("How long a session lives, give or take a tenth, before another takes its place.", {
      default: "never"
    }),
    maxConcurrent: docs("Calls that run at a time; further ones wait for their turn, in order. `none`: no limit.", {
      default: "none"
    }),
    queue: docs("Where calls are limited, how many may wait; beyond it they are rejected at once.", { default: 1000 }),
    replayBudget: docs(
      "Calls that are run again, as a share of those of the last `window`, one always allowed; or `none`. Default: 0.2, over 10 seconds."
    ),
    trustAnnotations: docs("Whether a server's `readOnlyHint` and `idempotentHint` allow a call to be run again.", {
      default: false
    }),
    required: docs("Whether the host is not ready without it.", { default: false }),
    startDeadline: docs("By when after its start a required server must have been connected once.", {
      default: "30 seconds"
    }),
    spans: docs("Whether attempts, probes and calls are spans for a tracer.", { default: false })
  }

const described: { readonly [name: string]: Schema.Annotations.Annotations } = settings

/** Of a duration the key of its text is described, and not that of the duration which it becomes. */
const Keepalive = Schema.Struct(
  Record.map(KeepalivePolicy.FileOptions.fields, (field, name) =>
    Schema.optionalKey(Schema.toEncoded(field)).pipe(Schema.annotateKey(described[name] ?? {}))
  )
).annotate({
  identifier: "Keepalive",
  ...docs("How servers are kept alive. Every setting has a default.", {
    defaultSnippets: [{ label: "{ interval, probe }", body: { interval: "${1:30 seconds}", probe: "${2:ping}" } }]
  })
})

// ------------------------------------------------------------------------------------------------------------ the file

/** Keys of other programs, whatever they hold. */
const others = [Schema.Record(Schema.String, Schema.Unknown)] as const

const Server = Schema.StructWithRest(
  Schema.Struct({
    ...Entry.fields,
    keepalive: Schema.optionalKey(Keepalive).pipe(
      Schema.annotateKey(docs("How this server is kept alive: laid over the `keepalive` of the file."))
    )
  }),
  others
).annotate({
  identifier: "Server",
  defaultSnippets: [
    { label: "http server", body: { type: "http", url: "${1:https://example.com/mcp}" } },
    { label: "stdio server", body: { type: "stdio", command: "${1:npx}", args: ["${2:-y}", "${3:package}"] } }
  ]
})

const servers = (markdown: string) =>
  Schema.optionalKey(Schema.Union([Schema.Record(Schema.String, Server), Schema.Array(Server)])).pipe(
    Schema.annotateKey(docs(markdown))
  )

const File = Schema.StructWithRest(
  Schema.Struct({
    $schema: Schema.optionalKey(Schema.String),
    keepalive: Schema.optionalKey(Keepalive).pipe(Schema.annotateKey(docs("Settings for every server of this file."))),
    mcpServers: servers("The servers, by name."),
    servers: servers("The servers, in VS Code's words."),
    context_servers: servers("The servers, in Zed's words."),
    mcp_servers: servers("The servers, in Codex's words.")
  }),
  others
).annotate({ title: "MCP servers that vmcp-keepalive keeps alive" })

// ------------------------------------------------------------------------------------------------------------- wording

/** Durations are texts in files, although core's Schema also takes numbers of milliseconds; and what one is, is said in words. */
const worded = (schema: JsonSchema.JsonSchema): JsonSchema.JsonSchema =>
  Record.map(schema, (value, key) =>
    key === "anyOf" && Array.isArray(value) && value.some(isDurationText)
      ? value.filter((each) => !isNumber(each)).map(inner)
      : inner(value)
  )

const inner = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(inner)
  if (!isSchema(value)) return value
  const text = worded(value)
  return isDurationText(text) ? { ...text, patternErrorMessage: 'Expected a duration such as "30 seconds".' } : text
}

const isSchema = (value: unknown): value is JsonSchema.JsonSchema => typeof value === "object" && value !== null

const isDurationText = (value: unknown): boolean =>
  isSchema(value) && typeof value["pattern"] === "string" && value["pattern"].includes("seconds?")

const isNumber = (value: unknown): boolean => isSchema(value) && value["type"] === "number"
