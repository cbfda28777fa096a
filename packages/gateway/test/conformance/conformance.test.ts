/**
 * The official conformance suite's scenarios for servers, against a server and against the gateway in front of it: what passes there,
 * passes here, but for what is listed with its reason.
 */
import { readFile } from "node:fs/promises"
import { assert, describe, it, onTestFinished } from "vitest"
import { folderWith, start, until } from "../cli/program.ts"
import { everything } from "./everything/server.ts"
import { judge, type Judged, passed, type Status, type Version } from "./suite.ts"

const server = async (): Promise<string> => {
  const { close, url } = await everything()
  onTestFinished(close)
  return url
}

const gateway = async (): Promise<string> => {
  // the only one, so that its names are shown as they are
  const folder = await folderWith({ "mcp.json": { mcpServers: { everything: { url: await server() } } } })
  const args = ["serve", "--config", `${folder}/mcp.json`, "--state", `${folder}/state`, "--port", "0", "--json"]
  const { ended, output } = await start(args)
  let isOver = false
  void ended.then(() => (isOver = true))
  await until(() => output.stdout.endsWith("\n") || isOver)
  const { mcp }: { readonly mcp: string } = JSON.parse(output.stdout)
  return mcp
}

/** How a check ends directly, and through the gateway. */
type Ends = readonly [direct: Status | undefined, through: Status | undefined]

/** The suite says there that it speaks 2025-03-26, in which no stream begins with an event that says how to take it up again. */
const tooOldToResume: Readonly<Record<string, Ends>> = {
  "server-sse-polling: server-sse-priming-event": ["WARNING", "WARNING"],
  "server-sse-polling: server-sse-retry-field": ["WARNING", "WARNING"]
}

/** A stream of the gateway's to a host cannot be taken up again: the answer comes on the stream on which it was asked for. */
const notResumable: Readonly<Record<string, Ends>> = {
  "server-sse-polling: server-sse-priming-event": ["SUCCESS", "WARNING"],
  "server-sse-polling: server-sse-retry-field": ["SUCCESS", "WARNING"],
  "server-sse-polling: server-sse-disconnect-resume": ["SUCCESS", "INFO"]
}

/** An extension of the protocol that neither the server nor the gateway says to have: what needs it fails on both. */
const isOfExtension = (check: string): boolean => check.startsWith("tasks-")

const differences = (direct: Judged, through: Judged): Readonly<Record<string, Ends>> => {
  const all = new Set([...direct.checks.keys(), ...through.checks.keys()])
  const ends = [...all].map((check) => [check, [direct.checks.get(check), through.checks.get(check)]] as const)
  return Object.fromEntries(
    ends.filter(
      ([check, [one, other]]) => one !== other || (one !== "SUCCESS" && one !== "INFO" && !isOfExtension(check))
    )
  )
}

/** What a run is, and what has to come of it: how many scenarios, and how many checks pass on each. */
interface Run {
  readonly version: Version
  readonly args: ReadonlyArray<string>
  readonly scenarios: number
  readonly direct: number
  readonly through: number
  readonly listed: Readonly<Record<string, Ends>>
}

const runs: Readonly<Record<string, Run>> = {
  "0.1.16, every scenario": {
    version: "0.1.16",
    args: ["--suite", "all"],
    scenarios: 32,
    direct: 44,
    through: 44,
    listed: tooOldToResume
  },
  "0.2.0-alpha.12, the scenarios of 2025-11-25": {
    version: "0.2.0-alpha.12",
    args: ["--requirements", "2025-11-25"],
    scenarios: 33,
    direct: 84,
    through: 81,
    listed: notResumable
  },
  "0.2.0-alpha.12, the scenarios of 2026-07-28": {
    version: "0.2.0-alpha.12",
    args: ["--requirements", "2026-07-28"],
    scenarios: 50,
    direct: 149,
    through: 149,
    listed: {}
  }
}

describe("the official conformance suite", () => {
  it.each(Object.entries(runs))(
    "%s: passes through the gateway as directly, but for what is listed",
    async (_, run) => {
      const [direct, through] = await Promise.all([
        server().then((url) => judge(run.version, run.args, url)),
        gateway().then((url) => judge(run.version, run.args, url))
      ])
      assert.deepStrictEqual(differences(direct, through), run.listed, through.output)
      assert.deepStrictEqual(
        [direct.scenarios.size, passed(direct), through.scenarios.size, passed(through)],
        [run.scenarios, run.direct, run.scenarios, run.through]
      )
    }
  )

  it("has in the guide what comes of it", async () => {
    const guide = await readFile(new URL("../../../../docs/guides/gateway.md", import.meta.url), "utf8")
    for (const { direct, scenarios, through, version } of Object.values(runs)) {
      assert.match(guide, new RegExp(`\\| ${version}, .* \\| ${scenarios} \\| ${direct} \\| ${through} \\|`))
    }
  })
})
