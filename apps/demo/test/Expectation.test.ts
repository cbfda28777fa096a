import { Duration } from "effect"
import { describe, expect, test } from "vitest"
import * as Expectation from "../src/Expectation.ts"
import { ended, episode } from "./episode.ts"

const judged = (change: Parameters<typeof episode>[0]) => Expectation.judge(episode(change))

describe("an expectation", () => {
  test("is met when everything is as expected", () => {
    expect(judged({})).toEqual([])
  })

  test.each<[what: string, change: Parameters<typeof episode>[0], said: RegExp]>([
    ["nothing was noticed", { detected: undefined }, /^not noticed \(the state is Connected no more\)$/],
    ["it was noticed too late", { detected: 2001 }, /^noticed after 2001 ms, expected within 2000 ms$/],
    ["it did not recover", { recovered: undefined }, /^not recovered$/],
    ["it recovered too late", { recovered: 3001 }, /^recovered after/],
    ["the session was not given up", { givenUp: undefined, closed: [] }, /given up/],
    ["the session was given up too late", { givenUp: 4001 }, /^given up after/],
    ["the session was given up for another reason", { closed: ["protocol"] }, /protocol/],
    ["it does not end connected", { finalState: "CircuitOpen" }, /CircuitOpen/],
    ["a state is missing", { states: ["Connected", "Connecting", "Connected"] }, /expected Connected, Unhealthy/],
    ["states come in another order", { states: ["Connected", "Connecting", "Unhealthy"] }, /^states were/],
    ["a call failed", { calls: [ended("ok", 1), ended("failed", 2)] }, /^calls ended as failed: 1, expected 0$/],
    ["no call was ok", { calls: [] }, /^calls ended as ok: 0, expected some$/],
    ["the server found something wrong", { wrong: ["no ping"] }, /^no ping$/]
  ])("is not met when %s", (_, change, said) => {
    const unmet = judged(change)
    expect(unmet).not.toEqual([])
    expect(unmet.join("\n")).toMatch(new RegExp(said.source, "m"))
  })

  test("to stay connected is not met by a single other state", () => {
    const { expectation } = episode({})
    const quiet = { ...expectation, states: ["Connected"], closedFor: [] } as const
    const calm = { expectation: quiet, closed: [] }
    expect(Expectation.judge(episode({ ...calm, states: ["Connected"] }))).toHaveLength(0)
    expect(Expectation.judge(episode({ ...calm, states: ["Connected", "Unhealthy", "Connected"] }))).toHaveLength(1)
  })

  test("says what some caller must be told", () => {
    const { expectation } = episode({})
    const told = { reason: "process_exit", summary: "exit code 1", line: "no config" } as const
    const detail = { summary: "exit code 1", output: ["starting", "no config"] }
    for (const [reason, known, unmet] of [
      ["process_exit", detail, 0],
      ["reset", detail, 1],
      ["process_exit", { ...detail, output: ["starting"] }, 1],
      ["process_exit", { ...detail, summary: "exit code 2" }, 1],
      ["process_exit", undefined, 1]
    ] as const) {
      const calls = [ended("ok", 1), { ...ended("unknown", 0), reason, detail: known }]
      expect(Expectation.judge(episode({ expectation: { ...expectation, told }, calls }))).toHaveLength(unmet)
    }
  })

  test("names the only reason for which calls may be lost", () => {
    const { expectation } = episode({})
    const busy = { ...expectation, calls: { ...expectation.calls, failed: "some" }, because: "busy" } as const
    const failed = ended("failed", 0)
    for (const [reason, unmet] of [
      ["busy", 0],
      ["reset", 1]
    ] as const) {
      const calls = [ended("ok", 1), { ...failed, reason }]
      expect(Expectation.judge(episode({ expectation: busy, calls }))).toHaveLength(unmet)
    }
  })
})

const untruths = (call: ReturnType<typeof ended>) =>
  Expectation.untruths({ calls: [call], executions: new Map([[call.key, call.times]]) })

describe("what a call told its caller", () => {
  test("is true of these", () => {
    expect(untruths(ended("ok", 1))).toEqual([])
    expect(untruths(ended("unknown", 0))).toEqual([])
    expect(untruths(ended("unknown", 1))).toEqual([])
    expect(untruths(ended("rejected", 0))).toEqual([])
    expect(untruths({ ...ended("ok", 2), idempotent: true })).toEqual([])
  })

  test("is untrue of these", () => {
    expect(untruths(ended("ok", 0))).toHaveLength(1)
    expect(untruths(ended("ok", 2))).toHaveLength(1)
    expect(untruths(ended("unknown", 2))).toHaveLength(1)
    expect(untruths(ended("rejected", 1))).toHaveLength(1)
    expect(untruths({ ...ended("failed", 1), reason: "busy" })).toHaveLength(1)
  })

  test("is nothing when it did not settle", () => {
    const { endedAt: _, outcome: __, ...open } = ended("ok", 0)
    expect(untruths({ ...open, outcome: undefined as never })).toEqual([`${open.key} did not settle`])
    const late = Duration.toMillis(Expectation.longestCall) + 1
    expect(untruths({ ...ended("unknown", 0), endedAt: late })).toHaveLength(1)
  })
})
