/** What `status` shows on a terminal. */
import { Effect, Fiber } from "effect"
import { assert, describe, it, onTestFinished, vi } from "vitest"
import { status } from "../../src/internal/cli/status.ts"

/** This process writes to a terminal meanwhile; what stands on its screen. */
const terminal = () => {
  const screen = { text: "" }
  const { isTTY } = process.stdout
  process.stdout.isTTY = true
  const write = vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    screen.text = String(text).endsWith("\u001B[2J") ? "" : screen.text + String(text)
    return true
  })
  const error = vi.spyOn(console, "error").mockImplementation((text) => void (screen.text += String(text)))
  onTestFinished(() => {
    process.stdout.isTTY = isTTY
    write.mockRestore()
    error.mockRestore()
  })
  return screen
}

describe("status --watch on a terminal", () => {
  it("shows that nothing answers for as long as it is so", async () => {
    const screen = terminal()
    const watching = Effect.runFork(status({ url: "http://127.0.0.1:9", json: false, watch: true, exitCode: false }))
    onTestFinished(() => Effect.runPromise(Fiber.interrupt(watching)))
    // between two times of asking
    await vi.waitUntil(() => screen.text !== "", { timeout: 5_000 })
    await new Promise((resolve) => setImmediate(resolve))
    assert.strictEqual(screen.text, "http://127.0.0.1:9: nothing answers there")
  })
})
