import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Leases, processes and storages that go and come back: they mostly wait, so several files run at a time.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    isolate: false,
    maxWorkers: 3,
    sequence: { sequencer: longestFirst("chaos/chaos.test.ts", "failover/failover.test.ts", "members/herd.test.ts") }
  }
})
