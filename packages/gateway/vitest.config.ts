import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

const times = { testTimeout: 120_000, hookTimeout: 60_000 }

const timed = ["test/cli/serve.test.ts", "test/page/thousand.test.ts"]

// Real servers and a browser: generous bounds. They mostly wait, so three files run at a time. The suites that hold the program to its two
// seconds and the page to its frames run alone, before the others: they measure real time, and what runs beside takes it from them.
export default defineConfig({
  test: {
    sequence: {
      sequencer: longestFirst(
        "eras/gateway.test.ts",
        "clients/clients.test.ts",
        "clients/others.test.ts",
        "cluster/refusals.test.ts",
        "page/browser.test.ts"
      )
    },
    projects: [
      {
        test: { ...times, name: "timed", include: timed, maxWorkers: 1, sequence: { groupOrder: 0 } }
      },
      {
        test: {
          ...times,
          name: "together",
          include: ["test/**/*.test.ts"],
          exclude: timed,
          maxWorkers: 3,
          isolate: false,
          sequence: { groupOrder: 1 }
        }
      }
    ]
  }
})
