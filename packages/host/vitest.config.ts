import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Real servers: generous bounds. They mostly wait, so three files run at a time. Files share what they import: to import it takes longer
// than many of them take.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    hookTimeout: 60_000,
    maxWorkers: 3,
    isolate: false,
    sequence: { sequencer: longestFirst("effectAi/client.test.ts") }
  }
})
