/** When the comments on a stream say that it is dead, and when they do not. */
import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { Heartbeat } from "../../src/internal/stream/heartbeat.ts"

const hour = 3_600_000

/** The streams of one session, one after the other. */
const session = () => {
  const server = { now: () => performance.now(), writesOneComment: false }
  const silences: Array<number> = []
  const stream = () => {
    const began = performance.now()
    const heartbeat = new Heartbeat(server, { onSilence: () => silences.push(performance.now() - began) })
    return {
      heartbeat,
      comment: () => {
        heartbeat.bytes()
        heartbeat.comment()
      }
    }
  }
  return { stream, silences }
}

describe("comments on a stream", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("with which it begins say nothing of a next one", () => {
    const { silences, stream } = session()
    const { comment } = stream()
    comment()
    vi.advanceTimersByTime(5)
    comment()
    vi.advanceTimersByTime(hour)
    assert.deepStrictEqual(silences, [])
    assert.strictEqual(vi.getTimerCount(), 0)
  })

  it("are missed three times as long as they were apart, whatever the stream began with", () => {
    const { silences, stream } = session()
    const { comment } = stream()
    comment()
    for (let beat = 0; beat < 4; beat++) {
      vi.advanceTimersByTime(15_000)
      comment()
    }
    vi.advanceTimersByTime(hour)
    assert.deepStrictEqual(silences, [7 * 15_000])
  })

  it("deceive once: of a server that writes a single one on each stream no further stream is doubted", () => {
    const { silences, stream } = session()
    for (let time = 0; time < 3; time++) {
      const { comment, heartbeat } = stream()
      vi.advanceTimersByTime(100)
      comment()
      vi.advanceTimersByTime(hour)
      heartbeat.stop()
    }
    assert.deepStrictEqual(silences, [3100])
    const { comment } = stream()
    for (let beat = 0; beat < 2; beat++) {
      vi.advanceTimersByTime(2000)
      comment()
    }
    vi.advanceTimersByTime(hour)
    assert.deepStrictEqual(silences, [3100, 10_000])
  })

  it("that come after the end of the connection, in the same chunk, wake nothing", () => {
    const { silences, stream } = session()
    const { comment, heartbeat } = stream()
    vi.advanceTimersByTime(1000)
    comment()
    heartbeat.stop()
    vi.advanceTimersByTime(1000)
    comment()
    assert.strictEqual(vi.getTimerCount(), 0)
    assert.deepStrictEqual(silences, [])
  })

  it("are no further apart because this process was frozen between two of them", () => {
    const { silences, stream } = session()
    const { comment } = stream()
    vi.advanceTimersByTime(15_000)
    comment()
    // the clock goes on, and no timer comes
    let asleep = 0
    const { now } = performance
    vi.spyOn(performance, "now").mockImplementation(() => now.call(performance) + asleep)
    asleep = hour
    comment()
    vi.advanceTimersByTime(15_000)
    comment()
    vi.advanceTimersByTime(hour)
    assert.deepStrictEqual(silences, [hour + 15_000 + 15_000 + 45_000])
    vi.restoreAllMocks()
  })
})
