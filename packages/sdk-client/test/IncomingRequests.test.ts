import { describe, expect, it } from "@effect/vitest"
import * as fc from "fast-check"
import { IncomingRequests } from "../src/index.ts"

describe("requests of the server's", () => {
  const make = (options: Partial<IncomingRequests.Options> = {}) => {
    const clock = { now: 5000 }
    const requests = new IncomingRequests.IncomingRequests({
      inHand: 3,
      perSecond: 1000,
      now: () => clock.now,
      ...options
    })
    return { clock, requests }
  }

  it("may be as many as the limit at once, and again when they are answered", () => {
    const { requests } = make()
    expect([1, 2, "3"].map((id) => requests.received(id))).toEqual([undefined, undefined, undefined])
    expect(requests.received(4)).toBe("inHand")
    requests.answered(4)
    requests.answered("3")
    expect(requests.size).toBe(2)
    expect(requests.received(5)).toBeUndefined()
    // what was not in hand frees nothing
    requests.answered("never")
    expect(requests.received(6)).toBe("inHand")
  })

  it("count each, also where they have the same id", () => {
    const { requests } = make()
    expect([7, 7, 7, 7].map((id) => requests.received(id))).toEqual([undefined, undefined, undefined, "inHand"])
    for (const size of [3, 2, 1, 0, 0]) {
      requests.answered(7)
      expect(requests.size).toBe(size)
    }
  })

  it("may be as many within a second as the limit, answered or not", () => {
    const { clock, requests } = make({ perSecond: 2 })
    const one = () => {
      const excess = requests.received(1)
      requests.answered(1)
      return excess
    }
    expect([one(), one(), one()]).toEqual([undefined, undefined, "perSecond"])
    clock.now += 999
    expect(one()).toBe("perSecond")
    clock.now += 1
    expect([one(), one(), one()]).toEqual([undefined, undefined, "perSecond"])
    expect(requests.size).toBe(0)
  })

  it("are right, whatever comes", () => {
    const anyStep = fc.record({ id: fc.nat(5), answer: fc.boolean(), later: fc.constantFrom(0, 1, 400, 1000) })
    fc.assert(
      fc.property(fc.array(anyStep), (steps) => {
        const { clock, requests } = make({ perSecond: 4 })
        let inHand: ReadonlyArray<number> = []
        let times: Array<number> = []
        for (const { answer, id, later } of steps) {
          clock.now += later
          if (answer) {
            requests.answered(id)
            const at = inHand.indexOf(id)
            inHand = inHand.filter((_, index) => index !== at)
            continue
          }
          const [first = clock.now] = times
          times = clock.now - first >= 1000 ? [clock.now] : [...times, clock.now]
          inHand = [...inHand, id]
          expect(requests.received(id)).toBe(times.length > 4 ? "perSecond" : inHand.length > 3 ? "inHand" : undefined)
        }
        expect(requests.size).toBe(inHand.length)
      })
    )
  })

  it("are too long together", () => {
    const { requests } = make({ bytes: 100 })
    expect([requests.received(1, 60), requests.received(2, 40), requests.received(3, 1)]).toEqual([
      undefined,
      undefined,
      "bytes"
    ])
    const other = make({ bytes: 100 }).requests
    other.received(1, 60)
    other.answered(1)
    expect(other.received(2, 100)).toBeUndefined()
  })

  it("count for a while yet when the server has cancelled them, since a handler may still be at work", () => {
    const { clock, requests } = make({ perSecond: 1000, cancelledFor: 5000 })
    for (const id of [1, 2, 3]) {
      requests.received(id)
      requests.cancelled(id)
      // its client does not answer; if it does, that changes nothing
      requests.answered(id)
    }
    clock.now += 4999
    expect(requests.size).toBe(3)
    clock.now += 1
    expect([requests.received(4), requests.size]).toEqual([undefined, 1])
  })

  it("have the defaults for what is undefined", () => {
    const { clock, requests } = make({ bytes: undefined, cancelledFor: undefined })
    expect(requests.received(1, 1e12)).toBeUndefined()
    requests.cancelled(1)
    clock.now += 9999
    expect([requests.received(2), requests.size]).toEqual([undefined, 2])
    clock.now += 1
    expect([requests.received(3), requests.size]).toEqual([undefined, 2])
  })
})
