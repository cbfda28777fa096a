import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Longer than all that one test waits for: the wait says what did not come, and the runner only that something did not.
const bounds = { testTimeout: 120_000, hookTimeout: 120_000, isolate: false }
/** Say within which part of a lease something happens, or within how many seconds, so that nothing else may run beside them. */
const timed = ["test/cluster.test.ts", "test/members/served.test.ts"]

// Leases, processes and storages that go and come back: they mostly wait, so several files run at a time.
export default defineConfig({
  test: {
    sequence: { sequencer: longestFirst("chaos/chaos.test.ts", "failover/failover.test.ts", "members/herd.test.ts") },
    projects: [
      {
        test: {
          ...bounds,
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: timed,
          maxWorkers: 3,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...bounds, name: "timed", include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})
