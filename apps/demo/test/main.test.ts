/** The program itself, as a process, on its real servers. */
import { once } from "node:events"
import { createServer } from "node:net"
import { expect, onTestFinished, test } from "vitest"
import type { Report } from "../src/Report.ts"
import { start, until } from "./program.ts"

test("plays the tour in less than 45 seconds, and every expectation is met", async () => {
  const startedAt = performance.now()
  const { ended, left, output } = await start("--once", "--json", "--port", "0")
  expect({ ended: await ended, stderr: output.stderr }).toMatchObject({ ended: [0, null] })
  expect(performance.now() - startedAt).toBeLessThan(45_000)
  expect(await left()).toEqual([])

  const report: Report = JSON.parse(output.stdout)
  expect(report.met).toBe(true)
  expect(report.client).toMatchObject({ met: true, unmet: [] })
  // some of its calls were lost, and its session never was
  expect(report.client.calls.ok).toBeGreaterThan(50)
  expect(report.client.calls.unknown + report.client.calls.rejected).toBeGreaterThan(0)
  expect(report.faults).toHaveLength(21)
  for (const row of report.faults) {
    expect(row).toEqual({
      fault: expect.any(String),
      backend: expect.stringMatching(
        /^(everything|supergateway|mcp-proxy|effect-mcp|sdk2|scripted|filesystem|scripted-sh)$/
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
  const lines = output.stderr.split("\n").filter((line) => /^ *\d+\.\ds /.test(line))
  expect(lines.length).toBeGreaterThan(50)
  expect(lines.join("\n")).not.toMatch(/https?:|127\.0\.0\.1|Bearer/)
})

test("without the faults no expectation is met, and the exit code says so", async () => {
  const { ended, left, output } = await start("--once", "--json", "--without-faults", "--port", "0")
  expect(await ended).toEqual([1, null])
  expect(await left()).toEqual([])
  const report: Report = JSON.parse(output.stdout)
  expect(report.met).toBe(false)
  expect(report.faults).toHaveLength(21)
  expect(report.faults.filter(({ detectedMs, met }) => met || detectedMs !== null)).toEqual([])
  // What is wrong is that nothing happened: the calls themselves all went well.
  expect(report.otherwise.met).toBe(true)
})

test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
  "ends in the middle on %s within two seconds, with all its servers",
  async (signal) => {
    const { child, ended, left, output } = await start("--port", "0")
    await until(() => output.stdout.includes("▼"))
    expect((await left()).length).toBeGreaterThan(5)
    // What the backends themselves started is found, too; at this moment it may have been killed, and be started again.
    for (const child of [/server-filesystem/, /sh -c .*scriptedStdio/]) {
      await until(async () => (await left()).some((one) => child.test(one)))
    }
    const asked = performance.now()
    child.kill(signal)
    expect(await ended).toEqual([130, null])
    expect(performance.now() - asked).toBeLessThan(2_000)
    expect(await left()).toEqual([])
  }
)

test("ends with all its servers when nobody reads what it prints", async () => {
  const { child, ended, left, output } = await start("--port", "0")
  await until(() => output.stdout.includes("▼"))
  child.stdout?.destroy()
  expect(await ended).toEqual([130, null])
  expect(await left()).toEqual([])
})

test("listens elsewhere where the usual port is in use, and tells of one that was asked for before anything is started", async () => {
  // taken by this test, or by another program already
  const other = createServer().listen(8931, "127.0.0.1")
  onTestFinished(() => void other.close())
  await Promise.race([once(other, "listening"), once(other, "error")])
  const { child, ended, output } = await start()
  await until(() => /^MCP endpoint +http:\/\/127\.0\.0\.1:\d+\/mcp$/m.test(output.stdout))
  expect(output.stdout).not.toContain(":8931/")
  child.kill("SIGINT")
  expect(await ended).toEqual([130, null])

  const asked = await start("--port", "8931")
  const started = new Set<string>()
  await until(async () => {
    for (const one of await asked.left()) if (!one.startsWith(`process ${asked.child.pid} `)) started.add(one)
    return asked.child.exitCode !== null
  })
  expect(await asked.ended).toEqual([1, null])
  expect(asked.output.stdout).toBe("")
  expect(asked.output.stderr).toBe(
    "cannot listen on 127.0.0.1:8931: another program listens there: choose another port with --port (0 is any free one)\n"
  )
  expect([...started, ...(await asked.left())]).toEqual([])
})

test.each([
  [["--port", "70000"], "--port takes a port from 0 to 65535"],
  [["--config", "my.json", "--once"], "--json and --once are of the tour"]
])("refuses %j", async (args, told) => {
  const { ended, output } = await start(...args)
  expect(await ended).toEqual([1, null])
  expect(output.stdout).toBe("")
  expect(output.stderr).toContain(told)
})

test("refuses a flag that it does not know", async () => {
  const { ended, output } = await start("--jsno")
  expect(await ended).toEqual([1, null])
  expect(output.stdout).toBe("")
  expect(output.stderr).toContain("Unrecognized flag: --jsno")
})
