/** The program itself, as a process, on its real servers. */
import { expect, test } from "vitest"
import type { Report } from "../src/Report.ts"
import { start, until } from "./program.ts"

test("plays the tour in less than 45 seconds, and every expectation is met", async () => {
  const startedAt = performance.now()
  const { ended, left, output } = await start("--json")
  expect({ ended: await ended, stderr: output.stderr }).toMatchObject({ ended: [0, null] })
  expect(performance.now() - startedAt).toBeLessThan(45_000)
  expect(await left()).toEqual([])

  const report: Report = JSON.parse(output.stdout)
  expect(report.met).toBe(true)
  expect(report.faults).toHaveLength(18)
  for (const row of report.faults) {
    expect(row).toEqual({
      fault: expect.any(String),
      backend: expect.stringMatching(
        /^(everything|supergateway|mcp-proxy|effect-mcp|scripted|filesystem|scripted-sh)$/
      ),
      detectedMs: expect.any(Number),
      recoveredMs: expect.any(Number),
      finalState: "Connected",
      calls: {
        ok: expect.any(Number),
        failed: expect.any(Number),
        unknown: expect.any(Number),
        rejected: expect.any(Number)
      },
      executedByServer: expect.any(Number),
      met: true,
      unmet: []
    })
    expect(row.executedByServer).toBeGreaterThanOrEqual(row.calls.ok)
  }
  expect(output.stderr).toMatch(/Connected → Unhealthy \(timeout\)/)
  expect(output.stderr).toMatch(
    /callers are told: process_exit, exit code 1 during the handshake; stderr: config\.json/
  )
  expect(output.stderr).not.toMatch(/https?:|127\.0\.0\.1|Bearer/)
})

test("without the faults no expectation is met, and the exit code says so", async () => {
  const { ended, left, output } = await start("--json", "--without-faults")
  expect(await ended).toEqual([1, null])
  expect(await left()).toEqual([])
  const report: Report = JSON.parse(output.stdout)
  expect(report.met).toBe(false)
  expect(report.faults).toHaveLength(18)
  expect(report.faults.filter(({ detectedMs, met }) => met || detectedMs !== null)).toEqual([])
  // What is wrong is that nothing happened: the calls themselves all went well.
  expect(report.otherwise.met).toBe(true)
})

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "ends in the middle on %s, with all its servers",
  async (signal) => {
    const { child, ended, left, output } = await start()
    await until(() => output.stdout.includes("▼"))
    expect((await left()).length).toBeGreaterThan(5)
    // What the backends themselves started is found, too; at this moment it may have been killed, and be started again.
    for (const child of [/server-filesystem/, /sh -c .*scriptedStdio/]) {
      await until(async () => (await left()).some((one) => child.test(one)))
    }
    child.kill(signal)
    expect(await ended).toEqual([130, null])
    expect(await left()).toEqual([])
  }
)

test("ends with all its servers when nobody reads what it prints", async () => {
  const { child, ended, left, output } = await start()
  await until(() => output.stdout.includes("▼"))
  child.stdout?.destroy()
  expect(await ended).toEqual([130, null])
  expect(await left()).toEqual([])
})

test("refuses a flag that it does not know", async () => {
  const { ended, output } = await start("--jsno")
  expect(await ended).toEqual([1, null])
  expect(output.stdout).toBe("")
  expect(output.stderr).toContain("Unrecognized flag: --jsno")
})
