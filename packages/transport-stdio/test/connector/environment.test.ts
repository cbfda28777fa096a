/** What of this process reaches the child, and what of the child's secrets comes back. */
/* oxlint-disable vitest/no-standalone-expect -- it does not know `promise` */
import { expect } from "@effect/vitest"
import { StdioServers } from "@vmcp-keepalive/testkit"
import { Effect, Fiber, Redacted } from "effect"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { StdioConnector } from "../../src/index.ts"
import { call, collectStderr, connectorOf, eventually, failing, open, opening, promise } from "./support.ts"

const secret = "hunter2-4711"

/** Sets variables of this process, until the test ends. */
const planted = (variables: Readonly<Record<string, string>>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const before = { ...process.env }
      Object.assign(process.env, variables)
      return before
    }),
    (before) =>
      Effect.sync(() => {
        for (const name of Object.keys(variables)) {
          if (before[name] === undefined) delete process.env[name]
          else process.env[name] = before[name]
        }
      })
  )

/** What the SDK takes for safe, all with a value. */
const safe = () => ({
  HOME: "/home/it",
  LOGNAME: "it",
  PATH: process.env["PATH"] ?? "",
  SHELL: "/bin/it",
  TERM: "dumb",
  USER: "it"
})

promise("nothing of this process's environment reaches the child but HOME, LOGNAME, PATH, SHELL, TERM and USER", () =>
  Effect.gen(function* () {
    yield* planted({ ...safe(), VMCP_PLANTED: secret, NODE_OPTIONS: "--no-warnings" })
    const server = yield* StdioServers.scripted()
    const environment = Effect.fnUntraced(function* (env: StdioConnector.Options["env"] = {}) {
      const { close, session } = yield* open(connectorOf(server, { env }))
      const { text } = yield* call(session, { name: "environment" })
      yield* close
      return JSON.parse(text)
    })
    expect(yield* environment()).toEqual(safe())
    expect(yield* environment({ TOKEN: Redacted.make(secret), USER: "other", EMPTY: "" })).toEqual({
      ...safe(),
      TOKEN: secret,
      USER: "other",
      EMPTY: ""
    })
  })
)

promise("a redacted value reaches the child as it is, and is redacted wherever the child writes it to stderr", () =>
  Effect.gen(function* () {
    const multiline = "FIRST-PART\nSECOND-PART\n"
    const connector = StdioConnector.make({
      command: "sh",
      args: [
        "-c",
        `echo "arg $1 env $TOKEN"'!' >&2; echo "$KEY" >&2; printf %5000s "$TOKEN" >&2; [ "$1$TOKEN" = "$2" ] && exit 5`,
        "sh",
        Redacted.make("arg-4711"),
        Redacted.make(`arg-4711${secret}`)
      ],
      env: { TOKEN: Redacted.make(secret), KEY: Redacted.make(multiline) }
    })
    expect(yield* connector.issues).toEqual([])
    const lines = yield* collectStderr(connector)
    const { detail } = yield* failing(connector)
    const output = ["arg <redacted> env <redacted>!", "<redacted>", "<redacted>", "", expect.stringMatching(/^ +…$/)]
    expect(detail).toEqual({ summary: "exit code 5 during the handshake", output })
    yield* eventually(() => lines.length >= output.length, "all lines")
    expect(lines).toEqual(output)
  })
)

promise(
  "a redacted value of which the child wrote only the beginning is not shown, whoever writes on after its death",
  () =>
    Effect.gen(function* () {
      const directory = yield* Effect.acquireRelease(
        Effect.sync(() => mkdtempSync(join(tmpdir(), "vmcp-told-"))),
        (path) => Effect.sync(() => rmSync(path, { recursive: true }))
      )
      const isTold = join(directory, "told")
      const told = Effect.fnUntraced(function* (script: string) {
        const connector = connectorOf(
          { command: "sh", args: ["-c", script] },
          { env: { TOKEN: Redacted.make(secret) } }
        )
        const lines = yield* collectStderr(connector)
        const { close, fiber } = yield* opening(connector)
        const evidence = yield* Effect.flip(Fiber.join(fiber))
        const last = evidence._tag === "TransportFailure" ? evidence.detail?.output : undefined
        writeFileSync(isTold, "")
        yield* eventually(() => lines.length > 0, "the line")
        yield* close
        return { last, lines }
      })
      const begun = `printf 'token=%s' "\${TOKEN%????}" >&2`
      // it waits until the death of its parent has been told
      const grandchild = `(until [ -e ${isTold} ]; do sleep 0.05; done; echo "\${TOKEN#????????} end" >&2; sleep 1)`
      expect(yield* told(`${begun}; ${grandchild} & exit 0`)).toEqual({
        last: ["token="],
        lines: ["token=<redacted> end"]
      })
      expect(yield* told(`${begun}; exit 1`)).toEqual({ last: ["token="], lines: ["token="] })
    })
)

promise("a command that cannot be started repeats no secret", () =>
  Effect.gen(function* () {
    const connector = StdioConnector.make({
      command: `/${secret}`,
      args: [secret, Redacted.make(secret)],
      env: { TOKEN: Redacted.make(secret) }
    })
    const told = yield* Effect.all([connector.issues, Effect.exit(Effect.scoped(open(connector)))])
    expect(JSON.stringify(told)).toContain("the command or its interpreter does not exist")
    expect(JSON.stringify(told)).not.toContain(secret)
  })
)
