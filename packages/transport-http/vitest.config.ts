import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Real servers over real sockets: generous bounds, the tests measure what must be fast.
const bounds = { testTimeout: 60_000, hookTimeout: 60_000 }
/** They say within how many milliseconds something happens, so that nothing else may run beside them. */
const timed = [
  "test/backend/load.test.ts",
  ...["answerStream", "refusals", "session", "standingStream"].map((name) => `test/connector/${name}.test.ts`)
]

export default defineConfig({
  test: {
    sequence: {
      sequencer: longestFirst("leak/leak.test.ts", "conformance/sdk2/conformance.test.ts", "eras/servers.test.ts")
    },
    projects: [
      {
        // They mostly wait.
        test: {
          ...bounds,
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: timed,
          maxWorkers: 2,
          isolate: false,
          sequence: { groupOrder: 0 }
        }
      },
      { test: { ...bounds, name: "timed", include: timed, maxWorkers: 1, sequence: { groupOrder: 1 } } }
    ]
  }
})
