import { assert, describe, it } from "vitest"
import { mistakes, parse, secret } from "./support.ts"

const url = "http://h/mcp"
const server = (entry: unknown) => ({ mcpServers: { a: entry } })
const keepalive = (settings: unknown) => ({ keepalive: settings, mcpServers: {} })

/** A bad file, and everything that is told of it. */
type Bad = readonly [name: string, file: unknown, told: ReadonlyArray<string>, format?: "toml" | "yaml"]

const seconds = "a whole number of seconds from 5 to 300"
const method = "one of auto, ping, list-tools, discover, options, none, or tool:<name>"
const interval = 'a duration of 5 to 300 seconds, such as "30 seconds"'
const endpoint = "an absolute http: or https: URL without user name and password (those go into headers)"
const unit = 'a duration with its unit, such as "30 seconds"'

const files: ReadonlyArray<Bad> = [
  // what is no JSON
  ["nothing at all", "", ["1:1: expected JSON: a value"]],
  ["text", "servers: a", ["1:1: expected JSON"]],
  ["an end that is missing", `{ "mcpServers": { "a": { "url": "${url}" } `, ["expected JSON: a closing }"]],
  ["a comma that is missing", `{\n "mcpServers": {}\n "keepalive": {}\n}`, ["3:2: expected JSON: a comma"]],
  ["a quote that is missing", `{ "mcpServers: {} }`, ["expected JSON: a closing quote"]],
  ["NaN in JSON", `{ "mcpServers": { "a": { "url": "${url}", "keepalive_interval": NaN } } }`, ["expected JSON"]],
  ["a second value after the first", `{ "mcpServers": {} } {}`, ["expected JSON: nothing after its end"]],
  ["nesting without end", `{ "mcpServers": ${"[".repeat(100_000)}`, ["expected at most 64 levels of nesting"]],
  ["a binary", "\u0000\u0001\u0002", ["expected JSON"]],
  [
    "TOML that is none",
    "[mcp_servers.a\nurl = 1",
    ["2:1: expected TOML (The key, equals sign, and value must be on the same line)"],
    "toml"
  ],
  [
    "TOML with a key twice",
    `[mcp_servers.a]\nurl = "${url}"\nurl = "${url}"`,
    ["3:1: expected TOML (Defining a key multiple times is invalid)"],
    "toml"
  ],
  ["YAML that is none", "mcpServers: [a", ["expected YAML"], "yaml"],
  [
    "YAML that repeats itself",
    `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghi"].map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefgh"[index]}`).join(",")}]`).join("\n")}\nmcpServers: *i`,
    ["expected YAML that is nested less deeply and repeats itself less"],
    "yaml"
  ],
  // what is no file of servers
  ["null", "null", ["1:1: expected an object with mcpServers"]],
  ["a list", "[]", ["1:1: expected an object with mcpServers"]],
  ["a string", '"x"', ["1:1: expected an object with mcpServers"]],
  [
    "an object without servers",
    {},
    ["1:1: expected an object with mcpServers (or servers, context_servers, mcp_servers)"]
  ],
  [
    "servers that are a string",
    { mcpServers: secret },
    ["2:3 mcpServers: expected an object of servers by name, or a list of servers with names"]
  ],
  ["servers twice", { mcpServers: {}, servers: {} }, ["3:3 servers: expected mcpServers alone: one list of servers"]],
  [
    "a word that is one edit away",
    { mcpServer: { a: { url } } },
    ["2:3 mcpServer: expected no such setting; mcpServers was meant, perhaps"]
  ],
  [
    "a word that begins with keepalive",
    { keepaliveAll: {}, mcpServers: {} },
    ["2:3 keepaliveAll: expected no such setting; known are keepalive"]
  ],
  // names
  [
    "a key twice",
    `{ "mcpServers": { "a": { "url": "${url}/1" },\n "a": { "url": "${url}/2" } } }`,
    ["2:2 mcpServers.a: expected each name once: only one of these would count"]
  ],
  [
    "a key twice, deep inside",
    `{ "mcpServers": { "a": { "url": "${url}",\n "headers": { "X": "1",\n "X": "2" } } } }`,
    ["3:2 mcpServers.a.headers.X: expected each name once"]
  ],
  [
    "__proto__ as a server",
    `{ "mcpServers": {\n "__proto__": { "url": "${url}" } } }`,
    ["2:2 mcpServers.__proto__: expected another name"]
  ],
  [
    "__proto__ as a header",
    `{ "mcpServers": { "a": { "url": "${url}",\n "headers": { "__proto__": "x" } } } }`,
    ["2:15 mcpServers.a.headers.__proto__: expected another name"]
  ],
  [
    "__proto__ in TOML",
    `[mcp_servers.a]\nurl = "${url}"\n[__proto__]\npolluted = true`,
    ["3:2 __proto__: expected another name"],
    "toml"
  ],
  [
    "a name that is empty",
    { mcpServers: { "": { url } } },
    ["3:5 mcpServers.: expected a name of 1 to 128 characters"]
  ],
  [
    "a name with a line break",
    { mcpServers: { "a\nb": { url } } },
    ["3:5 mcpServers.a\u{FFFD}b: expected a name of 1 to 128 characters"]
  ],
  [
    "a name of 129 characters",
    { mcpServers: { ["n".repeat(129)]: { url } } },
    ["expected a name of 1 to 128 characters"]
  ],
  [
    "a list without a name",
    { mcpServers: [{ url }] },
    ["3:5 mcpServers.0: expected a name, since the servers are a list"]
  ],
  [
    "a list with a name twice",
    {
      mcpServers: [
        { name: "b", url },
        { name: "b", url }
      ]
    },
    ["8:7 mcpServers.1.name: expected each name once"]
  ],
  // servers
  ["a server that is null", server(null), ["3:5 mcpServers.a: expected an object with url or command"]],
  ["a server that is empty", server({}), ["3:5 mcpServers.a: expected url (HTTP) or command (stdio)"]],
  ["a url that is a number", server({ url: 3 }), ["4:7 mcpServers.a.url: expected a URL"]],
  ["a url without a scheme", server({ url: `h/${secret}` }), [`4:7 mcpServers.a.url: expected ${endpoint}`]],
  ["a url of another scheme", server({ url: `ftp://h/${secret}` }), [`4:7 mcpServers.a.url: expected ${endpoint}`]],
  [
    "a url with a password",
    server({ url: `https://u:${secret}@h/mcp` }),
    [`4:7 mcpServers.a.url: expected ${endpoint}`]
  ],
  ["two urls", server({ url, httpUrl: url }), ["5:7 mcpServers.a.httpUrl: expected only one of url, httpUrl"]],
  [
    "url and command",
    server({ url, command: "node" }),
    ["5:7 mcpServers.a.command: expected nothing here, since this server speaks HTTP"]
  ],
  [
    "stdio with a url",
    server({ type: "stdio", url }),
    ["3:5 mcpServers.a: expected command, since this server speaks stdio"]
  ],
  [
    "stdio with headers",
    server({ command: "node", headers: { A: secret } }),
    ["5:7 mcpServers.a.headers: expected nothing here, since this server speaks stdio"]
  ],
  ["http without url", server({ type: "http" }), ["3:5 mcpServers.a: expected url, since this server speaks HTTP"]],
  [
    "sse",
    server({ type: "sse", url }),
    ["4:7 mcpServers.a.type: expected http or stdio: there is no transport for sse"]
  ],
  [
    "a web socket",
    server({ transport: "ws", url }),
    ["4:7 mcpServers.a.transport: expected http or stdio: there is no transport for ws"]
  ],
  [
    "a transport that nobody knows",
    server({ type: "carrier-pigeon", url }),
    [
      "4:7 mcpServers.a.type: expected one of http, streamable-http, streamable_http, streamableHttp, remote, stdio, local"
    ]
  ],
  [
    "type and transport that differ",
    server({ type: "http", transport: "stdio", url }),
    ["5:7 mcpServers.a.transport: expected the same as type, or nothing"]
  ],
  ["a command that is empty", server({ command: "" }), ["4:7 mcpServers.a.command: expected a command"]],
  [
    "arguments that are a string",
    server({ command: "node", args: "server.js" }),
    ["5:7 mcpServers.a.args: expected a list of arguments"]
  ],
  [
    "an argument that is a number",
    server({ command: "node", args: ["-p", 3] }),
    ["7:9 mcpServers.a.args.1: expected a text"]
  ],
  [
    "a header that is a number",
    server({ url, headers: { Authorization: 12_345 } }),
    ["6:9 mcpServers.a.headers.Authorization: expected a text"]
  ],
  [
    "a header whose name holds its value",
    server({ url, headers: { [`Authorization: ${secret}`]: "" } }),
    ["5:7 mcpServers.a.headers.#1: expected the name of a header, without its value"]
  ],
  [
    "a header with a line break",
    server({ url, headers: { A: `x\r\nB: ${secret}` } }),
    ["6:9 mcpServers.a.headers.A: expected a value that HTTP allows in a header"]
  ],
  [
    "a header twice",
    server({ url, headers: { "X-Key": "1", "x-key": "2" } }),
    ["7:9 mcpServers.a.headers.x-key: expected each header once, whatever its case"]
  ],
  [
    "a token beside Authorization",
    server({ url, headers: { authorization: secret }, bearer_token_env_var: "TOKEN" }),
    ["mcpServers.a.bearer_token_env_var: expected each header once"]
  ],
  [
    "a variable with its value",
    server({ command: "node", env: { [`KEY=${secret}`]: "" } }),
    ["5:7 mcpServers.a.env.#1: expected the name of a variable, without its value"]
  ],
  [
    "a header whose name holds its value, and whose value is none",
    server({ url, headers: { [`Authorization: Bearer ${secret}`]: null } }),
    ["6:9 mcpServers.a.headers.Authorization…: expected a text"]
  ],
  [
    "such a header twice",
    `{ "mcpServers": { "a": { "url": "${url}",\n "headers": { "A: ${secret}": "",\n "A: ${secret}": "" } } } }`,
    [
      "2:2 mcpServers.a.headers.#1: expected the name of a header, without its value",
      "3:2 mcpServers.a.headers.A…: expected each name once"
    ]
  ],
  [
    "a variable whose name holds its value, and whose value is a number",
    server({ command: "node", env: { [`KEY=${secret}`]: 1 } }),
    ["6:9 mcpServers.a.env.KEY…: expected a text"]
  ],
  [
    "enabled and disabled",
    server({ url, enabled: true, disabled: true }),
    ["6:7 mcpServers.a.disabled: expected the opposite of enabled, or nothing"]
  ],
  ["enabled that is a word", server({ url, enabled: "yes" }), ["5:7 mcpServers.a.enabled: expected true or false"]],
  [
    "tools twice",
    server({ url, includeTools: [], enabled_tools: [] }),
    ["6:7 mcpServers.a.enabled_tools: expected only one of includeTools, enabled_tools"]
  ],
  [
    "tools that are a string",
    server({ url, excludeTools: "rm" }),
    ["5:7 mcpServers.a.excludeTools: expected a list of tools"]
  ],
  [
    "a typo in a key",
    server({ url, Headers: { A: secret }, comand: "x" }),
    [
      "5:7 mcpServers.a.Headers: expected no such setting; headers was meant, perhaps",
      "8:7 mcpServers.a.comand: expected no such setting; command was meant, perhaps"
    ]
  ],
  // variables
  [
    "a variable that is not set",
    server({ url: "https://h/${NOPE}" }),
    ["4:7 mcpServers.a.url: expected the variable NOPE to be set in the environment"]
  ],
  [
    "a variable that is empty",
    server({ url, headers: { A: "Bearer ${EMPTY}" } }),
    ["6:9 mcpServers.a.headers.A: expected the variable EMPTY to be set in the environment"]
  ],
  [
    "a token whose variable is not set",
    server({ url, bearer_token_env_var: "NOPE" }),
    ["5:7 mcpServers.a.bearer_token_env_var: expected the variable that it names to be set in the environment"]
  ],
  [
    "a token in place of the name of its variable",
    server({ url, bearer_token_env_var: secret }),
    ["5:7 mcpServers.a.bearer_token_env_var: expected the variable that it names to be set in the environment"]
  ],
  [
    "a header's value in place of the name of its variable",
    server({ url, env_http_headers: { Authorization: `Bearer ${secret}` } }),
    ["6:9 mcpServers.a.env_http_headers.Authorization: expected the name of a variable"]
  ],
  [
    "a variable that does not end",
    server({ url, headers: { A: "Bearer ${TOKEN" } }),
    ["6:9 mcpServers.a.headers.A: expected } at the end of a variable; ${ itself is written $${"]
  ],
  [
    "a question to the user",
    server({ url, headers: { A: "${input:key}" } }),
    ["6:9 mcpServers.a.headers.A: expected no ${input:…}: nobody can be asked here"]
  ],
  [
    "what only an editor knows",
    server({ command: "node", args: ["${file.path}"] }),
    ["6:9 mcpServers.a.args.0: expected ${VAR}, ${VAR:-default} or ${env:VAR}"]
  ],
  [
    "the folder of a text",
    server({ command: "node", cwd: "${workspaceFolder}" }),
    ["5:7 mcpServers.a.cwd: expected the variable workspaceFolder to be set"]
  ],
  ["a variable that makes a url none", server({ url: "${TOKEN}" }), [`4:7 mcpServers.a.url: expected ${endpoint}`]],
  // keepalive_interval and keepalive_method
  ...([4, 301, "30", 30.5, -30, 0, null, true] as const).map((value): Bad => [
    `an interval of ${JSON.stringify(value)}`,
    server({ url, keepalive_interval: value }),
    [`5:7 mcpServers.a.keepalive_interval: expected ${seconds}`]
  ]),
  [
    "an interval without end",
    `{ "mcpServers": { "a": { "url": "${url}",\n "keepalive_interval": 1e999 } } }`,
    [`2:2 mcpServers.a.keepalive_interval: expected ${seconds}`]
  ],
  [
    "an interval of NaN",
    `[mcp_servers.a]\nurl = "${url}"\nkeepalive_interval = nan`,
    [`3:1 mcp_servers.a.keepalive_interval: expected ${seconds}`],
    "toml"
  ],
  ...(["pong", "tool:", "", 3, "PING"] as const).map((value): Bad => [
    `a method of ${JSON.stringify(value)}`,
    server({ url, keepalive_method: value }),
    [`5:7 mcpServers.a.keepalive_method: expected ${method}`]
  ]),
  [
    "options over stdio",
    server({ command: "node", keepalive_method: "options" }),
    ["5:7 mcpServers.a.keepalive_method: expected a method that this transport has; options is HTTP's"]
  ],
  [
    "an interval twice",
    server({ url, keepalive_interval: 30, keepalive: { interval: "30 seconds" } }),
    ["5:7 mcpServers.a.keepalive_interval: expected only one of keepalive_interval and keepalive.interval"]
  ],
  [
    "a method twice",
    server({ url, keepalive_method: "ping", keepalive: { probe: "ping" } }),
    ["5:7 mcpServers.a.keepalive_method: expected only one of keepalive_method and keepalive.probe"]
  ],
  [
    "a key that begins with keepalive",
    server({ url, keepalive_timeout: 3 }),
    [
      "5:7 mcpServers.a.keepalive_timeout: expected no such setting; known are keepalive_interval, keepalive_method, keepalive"
    ]
  ],
  // keepalive
  ["keepalive that is a number", keepalive(30), ["2:3 keepalive: expected an object of settings, such as interval"]],
  [
    "an unknown setting",
    keepalive({ failureTreshold: 3 }),
    ["3:5 keepalive.failureTreshold: expected no such setting; known are interval, probe"]
  ],
  ["an interval of 4 seconds", keepalive({ interval: "4 seconds" }), [`3:5 keepalive.interval: expected ${interval}`]],
  [
    "an interval of 301 seconds",
    keepalive({ interval: "301 seconds" }),
    [`3:5 keepalive.interval: expected ${interval}`]
  ],
  ...[5, "500 millis", "0 seconds", "25 hours", "5 parsecs"].map((value): Bad => [
    `an interval of ${JSON.stringify(value)}`,
    keepalive({ interval: value }),
    [`3:5 keepalive.interval: expected ${interval}`]
  ]),
  ["an interval without its unit", keepalive({ interval: 30_000 }), [`3:5 keepalive.interval: expected ${unit}`]],
  ["a timeout without its unit", keepalive({ timeout: 10 }), [`3:5 keepalive.timeout: expected ${unit}`]],
  [
    "durations in another form",
    keepalive({ staleAfter: "5s", idleAfter: "PT1H", circuit: { openFor: { cap: "1h" } } }),
    [
      '3:5 keepalive.staleAfter: expected a duration of zero or more (such as "30 seconds")',
      '4:5 keepalive.idleAfter: expected a duration above zero, or "never" (such as "30 seconds")',
      '7:9 keepalive.circuit.openFor.cap: expected a duration above zero, of at least initial (such as "30 seconds")'
    ]
  ],
  [
    "a duration of no unit that there is",
    keepalive({ stableAfter: "5 parsecs" }),
    ["3:5 keepalive.stableAfter: expected a duration of zero or more that ends"]
  ],
  [
    "a duration without an end, where it has to end",
    keepalive({ removalGrace: "Infinity" }),
    ["3:5 keepalive.removalGrace: expected a duration of zero or more that ends"]
  ],
  [
    "a negative duration",
    keepalive({ drainTimeout: "-5 seconds" }),
    ["3:5 keepalive.drainTimeout: expected a duration of zero or more"]
  ],
  [
    "a threshold of 0",
    keepalive({ failureThreshold: 0 }),
    ["3:5 keepalive.failureThreshold: expected a whole number of at least 1"]
  ],
  [
    "a circuit that is wrong throughout",
    keepalive({ circuit: { failures: 0, openFor: { initial: "x" } } }),
    [
      "4:7 keepalive.circuit.failures: expected a whole number of at least 1",
      "6:9 keepalive.circuit.openFor.initial: expected a duration above zero"
    ]
  ],
  [
    "a tool without a name",
    keepalive({ probe: { method: "tool", tool: {} } }),
    ["5:7 keepalive.probe.tool.name: expected the name of a tool"]
  ],
  [
    "a cap below the first delay",
    keepalive({ backoff: { initial: "10 seconds", cap: "1 second" } }),
    ["5:7 keepalive.backoff.cap: expected a duration of at least initial (10s)"]
  ],
  [
    "a timeout as long as the interval of the file",
    keepalive({ interval: "10 seconds", timeout: "10 seconds" }),
    ["4:5 keepalive.timeout: expected a duration above zero and shorter than the interval (10s)"]
  ],
  [
    "a timeout as long as the interval of one server",
    { keepalive: { timeout: "10 seconds" }, mcpServers: { a: { url, keepalive_interval: 10 } } },
    ["3:5 keepalive.timeout: expected a duration above zero and shorter than the interval (10s)"]
  ],
  // bounds
  [
    "a url of 70,000 characters",
    server({ url: `http://h/${"x".repeat(70_000)}` }),
    ["4:7 mcpServers.a.url: expected at most 65536 characters"]
  ],
  [
    "1,001 arguments",
    server({ command: "node", args: Array.from({ length: 1_001 }, () => "x") }),
    ["5:7 mcpServers.a.args: expected at most 1000 of them"]
  ],
  ["1,000,001 values", `[${"0,".repeat(1_000_000)}0]`, ["1:2000000: expected at most 1000000 names and values"]],
  [
    "10,001 servers",
    { mcpServers: Object.fromEntries(Array.from({ length: 10_001 }, (_, index) => [`s${index}`, { url }])) },
    ["2:3 mcpServers: expected at most 10000 servers"]
  ]
]

describe("a bad file, of which everything is told,", () => {
  it("there are sixty of them at least", () => {
    assert.isAtLeast(files.length, 60)
  })

  for (const [name, file, told, format] of files) {
    it(`is ${name}`, async () => {
      const found = mistakes(await parse(file, { format }))
      assert.strictEqual(found.length, told.length, found.join("\n"))
      for (const [index, expected] of told.entries()) assert.include(found[index], expected)
      assert.notMatch(found.join("\n"), /SECRET/)
    })
  }

  it("names every mistake, of its syntax's meaning, its servers and its settings, in the order of its lines", async () => {
    const file = {
      keepalive: { interval: "5 parsecs", failureTreshold: 3 },
      mcpServers: {
        a: {
          url: `https://u:${secret}@h/mcp?key=${secret}`,
          keepalive_interval: 3,
          keepalive_method: "pong",
          headers: { Authorization: 12_345 }
        },
        b: { command: "", args: secret },
        c: { type: "carrier-pigeon" },
        d: {},
        e: { url: "${NOPE}", headers: { A: "${ALSO_NOT}" } }
      },
      servers: {}
    }
    const found = mistakes(await parse(file)).map((line) => line.replace(/^\d+:\d+ |: expected .*$/g, ""))
    assert.deepStrictEqual(found, [
      "keepalive.interval",
      "keepalive.failureTreshold",
      "mcpServers.a.url",
      "mcpServers.a.keepalive_interval",
      "mcpServers.a.keepalive_method",
      "mcpServers.a.headers.Authorization",
      "mcpServers.b.command",
      "mcpServers.b.args",
      "mcpServers.c.type",
      "mcpServers.d",
      "mcpServers.e.url",
      "mcpServers.e.headers.A",
      "servers"
    ])
  })

  it("tells a thousand mistakes one by one, and how many there are beyond", async () => {
    const servers = Object.fromEntries(Array.from({ length: 1_500 }, (_, index) => [`s${index}`, { url: secret }]))
    const found = mistakes(await parse({ mcpServers: servers }))
    assert.strictEqual(found.length, 1_001)
    assert.strictEqual(
      found.find((line) => line.includes("more")),
      "expected 500 more to be right"
    )
  })

  it("pollutes no prototype", async () => {
    await parse(`{ "__proto__": { "polluted": 1 }, "mcpServers": { "__proto__": { "polluted": 1 } } }`)
    assert.notProperty({}, "polluted")
  })
})
