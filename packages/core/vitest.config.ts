import { defineConfig } from "vitest/config"
import { longestFirst } from "../../.ci/longestFirst.ts"

// Nothing here waits for real time, so that as many files as there are cores may run side by side. They share what they import: to
// import it takes longer than many of them take. CI has them stand back behind whatever else wants a core: the time that one takes says
// nothing of it.
export default defineConfig({
  test: {
    include: ["test/**/*.test.ts"],
    testTimeout: 60_000,
    maxWorkers: "100%",
    isolate: false,
    sequence: { sequencer: longestFirst("Transition.eager.test.ts", "Transition.lazy.test.ts", "outage.test.ts") }
  }
})
