/** Lines for a reader who may never read. */
import { execFileSync } from "node:child_process"
import { constants } from "node:fs"
import { open } from "node:fs/promises"
import { join } from "node:path"
import { assert, describe, it, onTestFinished } from "vitest"
import { Lines } from "../../src/internal/cli/lines.ts"
import { folderWith } from "./program.ts"

/** A pipe with both ends in this process. */
const pipe = async () => {
  const path = join(await folderWith({}), "pipe")
  execFileSync("mkfifo", [path])
  const reader = await open(path, constants.O_RDONLY | constants.O_NONBLOCK)
  const writer = await open(path, constants.O_WRONLY)
  onTestFinished(() => writer.close())
  return { reader, writer }
}

describe("lines to stderr", () => {
  it("wait outside of this thread where nobody reads, within bounds, and say how many were left out", async () => {
    const { reader, writer } = await pipe()
    const lines = new Lines(writer.fd)
    const text = "x".repeat(1023)
    for (let count = 0; count < 3_000; count++) lines.write(text)
    // this thread goes on
    await new Promise((resolve) => setImmediate(resolve))
    const flushed = { yet: false }
    void lines.flushed().then(() => (flushed.yet = true))
    let read = ""
    const buffer = Buffer.alloc(65_536)
    while (!flushed.yet) {
      const got = await reader.read(buffer).catch(() => ({ bytesRead: 0 }))
      read += buffer.toString("utf8", 0, got.bytesRead)
    }
    const rest = await reader.read(buffer).catch(() => ({ bytesRead: 0 }))
    read += buffer.toString("utf8", 0, rest.bytesRead)
    await reader.close()
    const whole = read.split(`${text}\n`).length - 1
    assert.isBelow(whole, 1_100)
    assert.include(read, `… ${3_000 - whole} lines were not read in time`)
  })

  it("are given up where the reader has gone", async () => {
    const { reader, writer } = await pipe()
    await reader.close()
    const lines = new Lines(writer.fd)
    lines.write("to nobody")
    await lines.flushed()
    lines.write("to nobody")
    await lines.flushed()
  })
})
