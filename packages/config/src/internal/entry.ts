/**
 * The words of a server's entry, from all hosts: what each may be, and what an editor shows of it.
 */
import * as Schema from "effect/Schema"
import * as Struct from "effect/Struct"

/** Longer texts are no settings. */
export const maxLength = 65_536
const maxItems = 1_000

/** What an editor shows: plain, and with its code marked as code. */
export const docs = (markdown: string, more: Schema.Annotations.Annotations = {}) => ({
  description: markdown.replaceAll("`", ""),
  markdownDescription: markdown,
  ...more
})

const text = (expected: string) =>
  Schema.String.annotate({ expected }).check(
    Schema.isMaxLength(maxLength, { expected: `at most ${maxLength} characters` })
  )

const filled = (expected: string) => text(expected).check(Schema.isNonEmpty({ expected }))

const list = (expected: string) =>
  Schema.Array(text("a text"))
    .annotate({ expected })
    .check(Schema.isMaxLength(maxItems, { expected: `at most ${maxItems} of them` }))

const names = (expected: string) =>
  Schema.Array(filled("a name"))
    .annotate({ expected })
    .check(Schema.isMaxLength(maxItems, { expected: `at most ${maxItems} of them` }))

const texts = (expected: string) =>
  Schema.Record(Schema.String, text("a text"))
    .annotate({ expected })
    .check(Schema.isMaxProperties(maxItems, { expected: `at most ${maxItems} of them` }))

const flag = Schema.Boolean.annotate({ expected: "true or false" })

/** The words for the two kinds of transport that there are, and for those that there are not. */
export const kinds = {
  http: ["http", "streamable-http", "streamable_http", "streamableHttp", "remote"],
  stdio: ["stdio", "local"],
  unsupported: ["sse", "ws", "websocket"]
} as const

const kind = Schema.Literals([...kinds.http, ...kinds.stdio, ...kinds.unsupported]).annotate({
  expected: `one of ${[...kinds.http, ...kinds.stdio].join(", ")}`
})

const methodPattern = /^(auto|ping|list-tools|discover|options|none|tool:.+)$/u
const expectedMethod = "one of auto, ping, list-tools, discover, options, none, or tool:<name>"
const methods = ["auto", "ping", "list-tools", "discover", "options", "none", "tool:"]

const method = Schema.String.annotate({ expected: expectedMethod }).check(
  Schema.isPattern(methodPattern, { expected: expectedMethod }),
  Schema.isMaxLength(256, { expected: "at most 256 characters" })
)

export const intervalBounds = { minimum: 5, maximum: 300 } as const

const expectedSeconds = `a whole number of seconds from ${intervalBounds.minimum} to ${intervalBounds.maximum}`

const seconds = Schema.Finite.annotate({ expected: expectedSeconds }).check(
  Schema.isInt({ expected: expectedSeconds }),
  Schema.isBetween(intervalBounds, { expected: expectedSeconds })
)

const snippet = (body: unknown) => ({ label: typeof body === "string" ? body : JSON.stringify(body), body })

/** Every key of a server that means something here. What another host calls its own way stands behind the usual word. */
const fields = {
  name: filled("a name").pipe(Schema.annotateKey(docs("The server's name, where servers are a list."))),
  type: kind.pipe(
    Schema.annotateKey(docs("`http` (Streamable HTTP) or `stdio`. Left out, it follows from `url` or `command`."))
  ),
  transport: kind.pipe(Schema.annotateKey(docs("The same as `type`."))),
  url: filled("a URL").pipe(
    Schema.annotateKey(
      docs("The MCP endpoint. `${VAR}` and `${VAR:-default}` come from the environment.", {
        examples: ["http://127.0.0.1:3001/mcp"]
      })
    )
  ),
  httpUrl: filled("a URL").pipe(Schema.annotateKey(docs("The same as `url`, in Gemini's words."))),
  serverUrl: filled("a URL").pipe(Schema.annotateKey(docs("The same as `url`, in Windsurf's words."))),
  headers: texts("an object of headers").pipe(
    Schema.annotateKey(
      docs("Sent with every request, and never logged.", {
        defaultSnippets: [{ label: "Authorization", body: { Authorization: "Bearer \\${${1:TOKEN}\\}" } }]
      })
    )
  ),
  http_headers: texts("an object of headers").pipe(
    Schema.annotateKey(docs("The same as `headers`, in Codex's words."))
  ),
  env_http_headers: texts("an object of headers with names of variables").pipe(
    Schema.annotateKey(
      docs("Headers whose values are in variables of the environment. One that is not set is left out.")
    )
  ),
  bearer_token_env_var: filled("the name of a variable").pipe(
    Schema.annotateKey(docs("The variable of the environment that holds the token for `Authorization: Bearer`."))
  ),
  command: filled("a command").pipe(Schema.annotateKey(docs("The executable that is the server. No shell reads it."))),
  args: list("a list of arguments").pipe(Schema.annotateKey(docs("Its arguments, each as it is."))),
  cwd: filled("a directory").pipe(
    Schema.annotateKey(docs("The directory in which it starts. Default: that of this process."))
  ),
  env: texts("an object of variables").pipe(
    Schema.annotateKey(docs("Variables of the environment of the child. Never logged."))
  ),
  envFile: filled("a file").pipe(
    Schema.annotateKey(docs("A file of variables, as `NAME=value`. What stands in `env` is laid over it."))
  ),
  env_vars: names("a list of names of variables").pipe(
    Schema.annotateKey(
      docs("Variables of this process's environment that the child is given. One that is not set is left out.")
    )
  ),
  enabled: flag.pipe(Schema.annotateKey(docs("Whether the server is used.", { default: true }))),
  disabled: flag.pipe(Schema.annotateKey(docs("The opposite of `enabled`.", { default: false }))),
  includeTools: names("a list of tools").pipe(Schema.annotateKey(docs("Only these tools are shown."))),
  excludeTools: names("a list of tools").pipe(Schema.annotateKey(docs("These tools are not shown."))),
  enabled_tools: names("a list of tools").pipe(
    Schema.annotateKey(docs("The same as `includeTools`, in Codex's words."))
  ),
  disabled_tools: names("a list of tools").pipe(
    Schema.annotateKey(docs("The same as `excludeTools`, in Codex's words."))
  ),
  disabledTools: names("a list of tools").pipe(
    Schema.annotateKey(docs("The same as `excludeTools`, in Windsurf's words."))
  ),
  session: Schema.Literals(["per-client", "shared"])
    .annotate({ expected: "per-client or shared" })
    .pipe(
      Schema.annotateKey(
        docs(
          "Whether a gateway has a session with the server for each of its clients, which can then be asked by it (sampling, elicitation, roots), or one for all. Default: `per-client` over HTTP, `shared` over stdio."
        )
      )
    ),
  keepalive_interval: seconds.pipe(
    Schema.annotateKey(
      docs("Seconds between probes, 5 to 300. The same as `keepalive.interval`.", {
        default: 300,
        defaultSnippets: [30, 60, 300].map(snippet)
      })
    )
  ),
  keepalive_method: method.pipe(
    Schema.annotateKey(
      docs(
        "How to ask whether the server lives: `ping` (or `discover`, the same), `tool:<name>`, `list-tools`, `options`, `none` or `auto`.",
        {
          default: "auto",
          examples: ["ping", "tool:status", "none"],
          defaultSnippets: methods.map(snippet)
        }
      )
    )
  )
}

/** An entry without its `keepalive`, which is checked by itself. */
export const Entry = Schema.Struct(fields).mapFields(Struct.map(Schema.optionalKey))

export type Entry = typeof Entry.Type
