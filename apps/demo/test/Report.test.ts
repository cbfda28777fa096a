import { Duration } from "effect"
import { describe, expect, test } from "vitest"
import type { Entry } from "../src/Journal.ts"
import * as Report from "../src/Report.ts"
import type { Style } from "../src/Style.ts"
import { ended, episode } from "./episode.ts"

const asIs = (text: string) => text
const plain: Style = { good: asIs, bad: asIs, warn: asIs, bold: asIs, dim: asIs }
const calm = (...calls: ReadonlyArray<ReturnType<typeof ended>>) => ({
  calls,
  executions: new Map(calls.map(({ key, times }) => [key, times]))
})
const kept = (wrong: ReadonlyArray<string>, ...calls: ReadonlyArray<ReturnType<typeof ended>>) => ({
  ...calm(...calls),
  wrong
})
const made = (
  change: Parameters<typeof episode>[0],
  otherwise = calm(ended("ok", 1)),
  client = kept([], ended("ok", 1), ended("unknown", 1), ended("rejected", 0))
) => Report.make({ episodes: [episode(change)], otherwise, client, duration: 12_345 })

describe("the report", () => {
  test("counts calls, and what the server executed of them", () => {
    const report = made({})
    expect(report).toMatchObject({
      faults: [
        {
          fault: "server killed",
          backend: "everything",
          detectedMs: 25,
          recoveredMs: 1235,
          finalState: "Connected",
          calls: { ok: 2, failed: 0, unknown: 1, rejected: 1 },
          executedByServer: 3,
          met: true
        }
      ],
      met: true
    })
  })

  test("is met only if every row is", () => {
    expect(made({ detected: undefined })).toMatchObject({ faults: [{ detectedMs: null, met: false }], met: false })
  })

  test("is not met if a call failed without a fault, or nothing was played", () => {
    expect(made({}, calm(ended("ok", 1), ended("unknown", 0))).met).toBe(false)
    expect(Report.make({ episodes: [], otherwise: calm(), client: kept([], ended("ok", 1)), duration: 0 }).met).toBe(
      false
    )
  })

  test("is not met if the client lost its session, called nothing, or a call of its own ran twice", () => {
    const of = (client: Parameters<typeof kept>) => made({}, undefined, kept(...client))
    expect(of([[], ended("ok", 1)]).met).toBe(true)
    for (const [client, unmet] of [
      [[["its session is another one"], ended("ok", 1)], "its session is another one"],
      [[[]], "it called nothing"],
      [[[], ended("ok", 2)], expect.stringContaining("executed 2 times")],
      [[[], ended("rejected", 1)], expect.stringContaining("executed all the same")]
    ] as const) {
      const report = of([...client])
      expect(report).toMatchObject({ met: false, client: { met: false, unmet: [unmet] } })
      expect(Report.table(report, plain)).toContain("✗ all: the client's session")
    }
  })

  test("as JSON is what it is", () => {
    const report = made({})
    expect(JSON.parse(Report.json(report))).toEqual(report)
  })
})

describe("the table", () => {
  test("aligns its columns and says how it ended", () => {
    expect(Report.table(made({}), plain)).toMatchInlineSnapshot(`
      "fault                   backend     detected  recovered  state      ok  failed  unknown  rejected  executed  met
      ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
      server killed           everything     25 ms     1.24 s  Connected   2       0        1         1         3  yes
      ────────────────────────────────────────────────────────────────────────────────────────────────────────────────
      (no fault)              all                                          1       0        0         0         1  yes
      (one client's session)  all                                          1       0        1         1         2  yes

      detected: from the fault's mark; recovered: from its end, or from its mark if nobody but the backend ends it;
      calls: as their callers were told; executed: by the servers' own count, where an idempotent call may be executed
      again and no other may. The client called all backends through the gateway, in one session from beginning to end.

      1 of 1 faults as expected, in 12.3 s"
    `)
  })

  test("says what is not as expected", () => {
    const table = Report.table(made({ detected: undefined, finalState: "CircuitOpen" }), plain)
    expect(table).toContain("never")
    expect(table).toContain(
      "✗ everything: server killed\n    not noticed (the state is Connected no more)\n    in the end the state is CircuitOpen"
    )
    expect(table).toContain("0 of 1 faults as expected")
  })

  test("is stressed as it is told to", () => {
    expect(Report.table(made({}), { ...plain, good: (text) => `<${text}>` })).toContain("<1 of 1 faults as expected")
  })
})

const of = (entry: Entry) => Report.line(entry, { startedAt: 1000, style: plain, width: 12 })
const event = (happening: Extract<Entry, { _tag: "Event" }>["event"]): Entry => ({
  _tag: "Event",
  at: 13_345,
  backend: "everything",
  event: happening
})

describe("a line", () => {
  const stamp = { backend: "everything", at: 0 }

  test("tells a change of state with its reason", () => {
    const from = { _tag: "Connected", since: 0, generation: 1 } as const
    const to = { _tag: "Unhealthy", since: 0, generation: 1, failures: 2, reason: "timeout", held: false } as const
    expect(of(event({ _tag: "StateChanged", from, to, ...stamp }))).toBe(
      " 12.3s  everything    Connected → Unhealthy (timeout, 2 in a row)"
    )
  })

  test("tells what the tour does", () => {
    expect(of({ _tag: "Remark", at: 1000, backend: "mcp-proxy", kind: "fault", text: "server frozen" })).toBe(
      "  0.0s  mcp-proxy     ▼ server frozen"
    )
  })

  test("tells how a session ended where the transport knows, and what callers are told", () => {
    const closed = { _tag: "SessionClosed", generation: 2, reason: "process_exit", ...stamp } as const
    expect(of(event({ ...closed, detail: "exit code 137" }))).toBe(
      " 12.3s  everything    session 2 lost: exit code 137"
    )
    expect(of(event({ ...closed, detail: undefined }))).toBeUndefined()
    expect(of({ _tag: "Remark", at: 1000, backend: "everything", kind: "told", text: "callers are told" })).toBe(
      "  0.0s  everything    callers are told"
    )
  })

  test("tells how often something was noticed", () => {
    const garbage = { _tag: "Noticed", notice: "garbage", ...stamp } as const
    expect(of(event({ ...garbage, count: 1 }))).toMatch(/no message$/)
    expect(of(event({ ...garbage, count: 3 }))).toMatch(/no message \(3 times\)$/)
  })

  test("is not spent on steady success, nor on the end of the program", () => {
    const connected = { _tag: "Connected", since: 0, generation: 1 } as const
    expect(
      of(
        event({
          _tag: "CallSettled",
          outcome: "ok",
          reason: undefined,
          replayed: false,
          method: "ping",
          duration: Duration.zero,
          ...stamp
        })
      )
    ).toBeUndefined()
    expect(
      of(event({ _tag: "StateChanged", from: connected, to: { _tag: "Closed", since: 0 }, ...stamp }))
    ).toBeUndefined()
  })
})
