/** What is written to a child, and what waits for it. */
import { describe, expect, it } from "@effect/vitest"
import { Outbox } from "../../src/internal/outbox.ts"

describe("what waits to be written", () => {
  const answer = (size: number) => ({ text: "x".repeat(size), isAnswer: true, taken: () => {} })
  const request = (size: number, taken = () => {}) => ({ text: "x".repeat(size), isAnswer: false, taken })
  /** An outbox, and a pipe that takes so many messages, and as many again when it has drained. */
  const make = (capacity = 1) => {
    const outbox = new Outbox(100)
    const written: Array<number | "end"> = []
    let free = capacity
    outbox.open({
      write: ({ length }) => {
        written.push(length)
        return --free > 0
      },
      end: () => void written.push("end")
    })
    const drain = () => {
      free = capacity
      outbox.drained()
    }
    return { outbox, written, drain }
  }
  /** One whose pipe is full, and has taken what filled it. */
  const full = () => {
    const made = make()
    made.outbox.add(request(0))
    made.written.length = 0
    return made
  }

  it("is bounded in bytes, except for a single message, and has room again when something is written or given up", () => {
    const { drain, outbox, written } = full()
    expect([outbox.add(request(60)), outbox.add(request(40))]).not.toContain(undefined)
    expect(outbox.add(request(1))).toBe(undefined)
    drain()
    expect(written).toEqual([60])
    const dropped = outbox.add(request(60))
    expect(outbox.add(request(1))).toBe(undefined)
    dropped?.drop()
    expect(outbox.add(request(2))).not.toBe(undefined)
    drain()
    drain()
    expect(written).toEqual([60, 40, 2])
    expect(outbox.add(request(1000))).not.toBe(undefined)
    expect(outbox.add(request(1))).toBe(undefined)
    drain()
    expect(written).toEqual([60, 40, 2, 1000])
  })

  it("is counted in bytes of UTF-8", () => {
    const { outbox } = full()
    outbox.add({ ...request(0), text: "€".repeat(33) })
    expect(outbox.add(request(2))).toBe(undefined)
    expect(outbox.add(request(1))).not.toBe(undefined)
  })

  it("is counted as far as it is answers", () => {
    const { drain, outbox } = full()
    const answers = [outbox.add(answer(1)), outbox.add(answer(1)), outbox.add(answer(1))]
    outbox.add(request(2))
    expect(outbox.answers).toBe(3)
    answers[1]?.drop()
    answers[1]?.drop()
    expect(outbox.answers).toBe(2)
    drain()
    expect(outbox.answers).toBe(1)
    outbox.close()
    expect(outbox.answers).toBe(0)
  })

  it("is nothing while the pipe takes it: a message is told and written within what adds it", async () => {
    const { outbox, written } = make(2)
    const taken: Array<number> = []
    const waiting = [1, 2, 3].map((size) => outbox.add(request(size, () => taken.push(size))))
    // the second has filled it
    expect([taken, written]).toEqual([
      [1, 2],
      [1, 2]
    ])
    await waiting[1]?.turn
  })

  it("is written in its order, each told before it is, as far as the pipe takes it", async () => {
    const { drain, outbox, written } = make(2)
    const taken: Array<number> = []
    const waiting = [1, 2, 3, 4, 5].map((size) =>
      outbox.add(
        request(size, () => {
          expect(written).not.toContain(size)
          taken.push(size)
        })
      )
    )
    drain()
    expect([taken, written]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 4]
    ])
    drain()
    expect(written).toEqual([1, 2, 3, 4, 5])
    await Promise.all(waiting.map((one) => one?.turn))
  })

  it("waits for the pipe where there is none yet", () => {
    const outbox = new Outbox(100)
    outbox.add(request(1))
    const written: Array<string> = []
    outbox.open({ write: (text) => written.push(text) > 0, end: () => {} })
    expect(written).toEqual(["x"])
  })

  it("is still written when nothing more is added, and then the pipe ends, once", async () => {
    const { drain, outbox, written } = full()
    outbox.add(request(1))
    outbox.end()
    await outbox.add(request(2))?.turn
    expect(written).toEqual([])
    drain()
    drain()
    outbox.close()
    expect(written).toEqual([1, "end"])
    const idle = make()
    idle.outbox.end()
    expect(idle.written).toEqual(["end"])
  })

  it("is dropped when it is closed, which ends the pipe and whoever waits", async () => {
    const { drain, outbox, written } = full()
    const waiting = [outbox.add(request(1)), outbox.add(answer(1))]
    outbox.close()
    await Promise.all(waiting.map((one) => one?.turn))
    drain()
    expect(written).toEqual(["end"])
    await outbox.add(request(1))?.turn
    expect(written).toEqual(["end"])
  })
})
