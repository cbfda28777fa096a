/** What `status` and a long start print. */
import { ConnectionState } from "@vmcp-keepalive/core"
import { assert, describe, it } from "vitest"
import * as Progress from "../../src/internal/cli/progress.ts"
import * as Style from "../../src/internal/cli/style.ts"
import { table } from "../../src/internal/cli/table.ts"
import type { Row } from "../../src/internal/page/wire.ts"

const now = 1_800_000_000_000

const row = (more: Partial<Row>): Row => ({
  id: "web",
  kind: "http",
  state: "Connected",
  word: "Connected",
  tone: "ok",
  attention: false,
  required: false,
  since: now - 90_000,
  why: "",
  action: null,
  commands: [],
  nextAttemptAt: null,
  latency: 12.4,
  strip: [],
  marks: [],
  tools: 4,
  inFlight: 0,
  calls: 12,
  failed: 0,
  ...more
})

const printed = (rows: ReadonlyArray<Row>, colors = false) =>
  table({ at: now, total: rows.length, attention: 1, backends: rows }, Style.make(colors))

describe("the table of status", () => {
  it("has its columns under each other, whatever characters are in them", () => {
    const lines = printed([row({ id: "检索" }), row({ id: "github", failed: 2, nextAttemptAt: now + 25_000 })]).split(
      "\n"
    )
    assert.deepStrictEqual(lines, [
      "2 backends, 1 needs attention",
      "",
      "BACKEND  KIND  STATE      SINCE  LATENCY  TOOLS  CALLS          NEXT     WHY",
      "检索     http  Connected  1 min  12 ms    4      12             -",
      "github   http  Connected  1 min  12 ms    4      12 (2 failed)  in 25 s"
    ])
  })

  it("has colors that take no room", () => {
    const lines = printed([row({ tone: "bad" })], true)
    assert.include(lines, "\u001B[31mConnected\u001B[0m ")
    const escapes = ["[31m", "[1m", "[0m"].map((each) => `\u001B${each}`)
    const plain = escapes.reduce((text, each) => text.replaceAll(each, ""), lines)
    assert.strictEqual(plain, printed([row({ tone: "bad" })]))
  })

  it("tells of several gateways which there are, and on which each backend is", () => {
    const processes = [
      { address: "10.0.0.1:7777", here: true, healthy: true, backends: 1, lease: 13_400 },
      { address: "10.0.0.2:7777", here: false, healthy: false, backends: 0, lease: null }
    ]
    const backends = [row({ owner: "10.0.0.1:7777" }), row({ id: "files", owner: null })]
    const cluster = { processes, margin: 12_000, silentSince: now - 4_000 }
    const lines = table({ at: now, total: 2, attention: 1, backends, cluster }, Style.make(false)).split("\n")
    assert.deepStrictEqual(lines, [
      "2 backends, 1 needs attention",
      "  10.0.0.1:7777 (this one), 1 backend, lease 13 s",
      "! 10.0.0.2:7777, 0 backends, no lease, does not answer",
      "the database of the cluster does not answer, for 4 s",
      "",
      "BACKEND  KIND  STATE      SINCE  LATENCY  TOOLS  CALLS  NEXT  ON             WHY",
      "web      http  Connected  1 min  12 ms    4      12     -     10.0.0.1:7777",
      "files    http  Connected  1 min  12 ms    4      12     -     -"
    ])
  })

  it("lets no name of another program write to the terminal", () => {
    assert.notInclude(printed([row({ id: "a\u001B]0;title\u0007", why: "\u202Eb" })]), "\u001B")
    assert.notInclude(printed([row({ why: "\u202Eb" })]), "\u202E")
  })
})

describe("the progress of a start", () => {
  const at = { since: now }
  const connecting = ConnectionState.Connecting.make({ ...at, attempt: 1, trial: false, reason: undefined })

  it("names the first whom it waits for, and counts the others", () => {
    const states = new Map(["a", "b", "c", "d", "e"].map((id) => [id, connecting]))
    assert.strictEqual(Progress.lineOf(states), "0 of 5 connected, waiting for a, b, c and 2 more")
  })

  it("ends when there is nobody to wait for", () => {
    assert.isUndefined(Progress.lineOf(new Map()))
  })
})
