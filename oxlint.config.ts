import { defineConfig } from "oxlint"

interface Ban {
  readonly group?: ReadonlyArray<string>
  readonly regex?: string
  readonly message: string
}

const everywhere: ReadonlyArray<Ban> = [
  {
    regex: "^@vmcp-keepalive/[^/]+/(internal|src|dist)(/|$)",
    message: "Another package is what its exports map says; its internal/ is private."
  },
  {
    regex: "^(\\.\\./){2,}([^./][^/]*/)+(src|dist)/|^(\\.\\./)+(packages|apps|bench)/",
    message: "Import another package by its name."
  }
]

const published: ReadonlyArray<Ban> = [
  ...everywhere,
  {
    regex: "^@vmcp-keepalive/(testkit|demo|bench)(/|$)",
    message: "What is published does not depend on private packages."
  },
  {
    regex: "^@vmcp-keepalive/core/engine$",
    message: "The engine may change in a minor release: what is published stands on the modules in front."
  }
]

const core: ReadonlyArray<Ban> = [
  ...published,
  {
    regex: "^(@modelcontextprotocol/|@opentelemetry/|@effect/opentelemetry|@effect/platform-|node:)",
    message: "core knows Effect only: no SDK, no OpenTelemetry, no Node module."
  },
  { regex: "^@vmcp-keepalive/", message: "Arrows point to core, none away from it." }
]

const transport: ReadonlyArray<Ban> = [
  ...published,
  {
    regex: "^@vmcp-keepalive/(transport-|otel)",
    message: "A transport imports neither another transport nor otel, and what transports share imports neither."
  }
]

const wire: ReadonlyArray<Ban> = [
  ...transport,
  {
    regex: "^(@modelcontextprotocol/|@vmcp-keepalive/sdk-client$)",
    message: "A wire knows no SDK, types included: clients of several kinds stand on it. Import sdk-client/peer."
  }
]

const host: ReadonlyArray<Ban> = [
  ...published,
  {
    regex: "^(@modelcontextprotocol/|@vmcp-keepalive/(sdk-client$|transport-|otel))",
    message:
      "Middleware knows peers only: no SDK and no framework, types included, and no transport. Import sdk-client/peer."
  }
]

const hostOfSdk: ReadonlyArray<Ban> = [
  ...published,
  { regex: "^@vmcp-keepalive/(sdk-client$|transport-|otel)", message: "Middleware knows peers only, and no transport." }
]

const config: ReadonlyArray<Ban> = [
  ...published,
  {
    regex: "^(@modelcontextprotocol/|@effect/platform-|node:|@vmcp-keepalive/(host|otel|sdk-client|transport-))",
    message:
      "config makes data: it knows core, Effect and parsers; files come through FileSystem, variables through Config."
  }
]

const otel: ReadonlyArray<Ban> = [
  ...published,
  { regex: "^(@opentelemetry/|@effect/opentelemetry)", message: "Optional peers: only KeepaliveProducer needs them." }
]

const cluster: ReadonlyArray<Ban> = [
  ...published,
  {
    regex: "^(@modelcontextprotocol/|@vmcp-keepalive/(sdk-client$|config|gateway|host|otel|transport-))",
    message: "A cluster knows peers only: no SDK, no transport. Import sdk-client/peer."
  }
]

const gateway: ReadonlyArray<Ban> = [
  ...published,
  {
    regex: "^(@modelcontextprotocol/(sdk|client)|@vmcp-keepalive/sdk-client$|@opentelemetry/|@effect/opentelemetry)",
    message: "A gateway knows peers, and of an SDK its server of the modern era only. Import sdk-client/peer."
  },
  {
    regex: "^@vmcp-keepalive/transport-[^/]+$",
    message: "Import the transport's /peer, and while the program runs: who has servers of one kind needs no other."
  }
]

const bans = (patterns: ReadonlyArray<Ban>) => ["error", { patterns }] as const

const clockAndRandom = (use: string) => `core takes time from Clock and chance from Random: use ${use}.`

export default defineConfig({
  plugins: ["typescript", "unicorn", "oxc", "import", "vitest"],
  categories: { correctness: "error", suspicious: "error" },
  options: { denyWarnings: true, reportUnusedDisableDirectives: "error" },
  ignorePatterns: ["**/dist/**"],
  rules: {
    "import/no-default-export": "error",
    "import/no-cycle": "error",
    "no-restricted-imports": bans(everywhere),
    "typescript/ban-ts-comment": "error",
    "typescript/no-explicit-any": "error",
    // `_tag` is Effect's convention.
    "no-underscore-dangle": "off",
    // A copy of a Set or Map that the loop changes is not useless.
    "unicorn/no-useless-spread": "off",
    // Functions stand where they are read, and a parameter may be called what it is.
    "unicorn/consistent-function-scoping": "off",
    "no-shadow": "off",
    // It does not know what asserts in Effect tests and properties.
    "vitest/expect-expect": "off"
  },
  overrides: [
    { files: [".ci/**"], rules: { "no-restricted-imports": "off" } },
    { files: ["**/*.config.{js,ts}"], rules: { "import/no-default-export": "off" } },
    { files: ["packages/cluster/src/**"], rules: { "no-restricted-imports": bans(cluster) } },
    { files: ["packages/config/src/**"], rules: { "no-restricted-imports": bans(config) } },
    { files: ["packages/gateway/src/**"], rules: { "no-restricted-imports": bans(gateway) } },
    { files: ["packages/host/src/**"], rules: { "no-restricted-imports": bans(host) } },
    { files: ["packages/host/src/Sdk1Server.ts"], rules: { "no-restricted-imports": bans(hostOfSdk) } },
    // Transports of MCP are no EventTargets.
    { files: ["packages/host/**"], rules: { "unicorn/prefer-add-event-listener": "off" } },
    { files: ["packages/otel/src/**"], rules: { "no-restricted-imports": bans(otel) } },
    { files: ["packages/otel/src/KeepaliveProducer.ts"], rules: { "no-restricted-imports": bans(published) } },
    { files: ["packages/{sdk-client,transport-*}/src/**"], rules: { "no-restricted-imports": bans(wire) } },
    {
      files: [
        "packages/sdk-client/src/{CallView,JsonSchema,testing/TestServer,internal/testing/serverEnd}.ts",
        "packages/sdk-client/src/sdk2/**",
        "packages/transport-http/src/{HttpConnector.ts,HttpTransport.ts,internal/sdk1/**,internal/sdk2/**,sdk2/**}",
        "packages/transport-stdio/src/{StdioConnector.ts,StdioTransport.ts,sdk2/**}"
      ],
      rules: { "no-restricted-imports": bans(transport) }
    },
    {
      files: ["packages/core/src/**"],
      rules: {
        "no-restricted-imports": bans(core),
        "no-restricted-globals": [
          "error",
          {
            checkGlobalObject: true,
            globals: [
              { name: "Date", message: clockAndRandom("Clock or DateTime") },
              { name: "performance", message: clockAndRandom("Clock") },
              { name: "setTimeout", message: clockAndRandom("Effect.sleep or a Schedule") },
              { name: "setInterval", message: clockAndRandom("a Schedule") }
            ]
          }
        ],
        "no-restricted-properties": ["error", { object: "Math", property: "random", message: clockAndRandom("Random") }]
      }
    }
  ]
})
