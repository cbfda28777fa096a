/**
 * Every status from 300 to 511 instead of an answer, from a server that has executed the call and from one that has not, with
 * and without a `Location`: no status runs a call twice, and what may have been executed is not called refused.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Arrival, CountingServer, Reaction } from "./countingServer.ts"
import { senders } from "./senders.ts"
import { keep, type Kept, listen, native, none, type Said, type Sender } from "./support.ts"

const range = (from: number, to: number) => Array.from({ length: to - from + 1 }, (_, index) => from + index)

const respond = ({ response }: Arrival, status: number, location?: string) => {
  response.writeHead(status, location === undefined ? {} : { location }).end()
}

/** What is seen of one call: how it ended, how often it was executed and has arrived, and how many redirects were followed. */
const seen = (counting: CountingServer, id: string, said: Said) => {
  const hops = counting.arrivals(id, "/answered") + counting.arrivals(id, "/loop")
  return `${said}, executed ${counting.executions(id)}, arrived ${counting.arrivals(id)}, followed ${hops}`
}
const row = (said: Said, executed: number, arrived = 1, followed = 0) =>
  `${said}, executed ${executed}, arrived ${arrived}, followed ${followed}`

/** Where a status points to. */
const locations = {
  "no Location": undefined,
  "a Location on the origin that answers": "/answered",
  "a Location on the origin that points to itself": "/loop",
  "a Location on another origin": "elsewhere"
} as const
type Location = keyof typeof locations

/** The status instead of an answer. Only a redirect that is followed comes to the other paths, which execute nothing again. */
const instead =
  (status: number, executed: boolean, location: string | undefined): Reaction =>
  (arrival) => {
    switch (arrival.path) {
      case "/answered":
        if (!executed) arrival.execute()
        return arrival.answer()
      case "/loop":
        return respond(arrival, status, "/loop")
      default:
        if (executed) arrival.execute()
        return respond(arrival, status, location)
    }
  }

/** What must be seen of a status that comes at once; a sender that is not the connector's own may know less. */
const expected = (sender: Sender, status: number, location: Location, executed: boolean): ReadonlyArray<string> => {
  const executions = executed ? 1 : 0
  const refused = (followed: number) =>
    (sender.native ? (["CallFailed"] as const) : (["CallFailed", "OutcomeUnknown"] as const)).map((said) =>
      row(said, executions, 1, followed)
    )
  if (status === 307 || status === 308) {
    if (locations[location] === "/answered") return [row("ok", 1, 1, 1)]
    return refused(locations[location] === "/loop" ? 5 : 0)
  }
  // 303 says that the request was processed, and so do 301 and 302 as they are used; the others of 3xx say nothing of it.
  if (status < 400 || status >= 500) return [row("OutcomeUnknown", executions)]
  return refused(0)
}

describe.each(senders)("a call through $name that is answered", (sender) => {
  const neverTwice = Effect.fnUntraced(function* (statuses: ReadonlyArray<number>, location: Location) {
    const { counting, port } = yield* listen()
    const elsewhere = yield* listen()
    let leaked = 0
    elsewhere.counting.server.on("request", () => leaked++)
    const kept = yield* keep({ url: `http://localhost:${port}/mcp`, sender })
    const target = locations[location] === "elsewhere" ? `http://127.0.0.1:${elsewhere.port}/mcp` : locations[location]
    const wrong: Array<string> = []
    for (const status of statuses)
      for (const executed of [true, false]) {
        const id = `${status} ${executed ? "after" : "instead of"} the execution`
        counting.react(id, instead(status, executed, target))
        const said = yield* kept.call(id)
        const observed = seen(counting, id, said)
        if (!expected(sender, status, location, executed).includes(observed)) wrong.push(`${id}: ${observed}`)
        if (!(yield* kept.well)) return assert.fail(`${id}: the backend is not well again; ${wrong.join("; ")}`)
      }
    assert.strictEqual(leaked, 0, "requests to the other origin")
    none(wrong)
  }, Effect.scoped)

  for (const location of Object.keys(locations) as Array<Location>) {
    it.live(`with a status from 300 to 399 and ${location} is never executed twice`, () =>
      neverTwice(range(300, 399), location)
    )
    // That a Location means nothing to what is no redirect is seen with the connector's own sender.
    if (location === "no Location" || sender.native) {
      it.live(`with a status from 400 to 499 and ${location} is never executed twice`, () =>
        neverTwice(
          range(400, 499).filter((status) => status !== 421),
          location
        )
      )
      // Node's `fetch` sends a request again on 421 by itself: what the README says of a `fetch` of one's own.
      if (!sender.repeatsMisdirected)
        it.live(`with 421 and ${location} is never executed twice`, () => neverTwice([421], location))
      it.live(`with a status from 500 to 511 and ${location} is never executed twice`, () =>
        neverTwice(range(500, 511), location)
      )
    }
  }
})

/** The policy's `timeout` in the tests of late refusals, and how long the server works before it refuses, in milliseconds. */
const timeout = 100
const late = 4 * timeout

const lately =
  (status: number, executed: boolean, before: () => void = () => {}): Reaction =>
  (arrival) => {
    if (executed) arrival.execute()
    before()
    setTimeout(() => respond(arrival, status), late)
  }

const keepImpatiently = Effect.fnUntraced(function* (
  port: number,
  headers?: Parameters<typeof keep>[0]["headers"],
  sender?: Sender
) {
  return yield* keep({
    url: `http://localhost:${port}/mcp`,
    policy: { timeout },
    ...(headers === undefined ? {} : { headers }),
    ...(sender === undefined ? {} : { sender })
  })
})

/** Calls that are refused late, together: the ids of those of which anything but the truth is said, or that came twice. */
const refuseLately = (
  kept: Kept,
  counting: CountingServer,
  statuses: ReadonlyArray<number>,
  before?: () => void,
  concurrency: number | "unbounded" = "unbounded"
) =>
  Effect.gen(function* () {
    const wrong: Array<string> = []
    const cases = statuses.flatMap((status) => [true, false].map((executed) => ({ status, executed })))
    yield* Effect.forEach(
      cases,
      ({ executed, status }) =>
        Effect.gen(function* () {
          const id = `${status} long after the ${executed ? "execution" : "arrival"}`
          counting.react(id, lately(status, executed, before))
          const observed = seen(counting, id, yield* kept.call(id))
          if (observed !== row("OutcomeUnknown", executed ? 1 : 0)) wrong.push(`${id}: ${observed}`)
        }),
      { concurrency }
    )
    none(wrong)
  })

describe("a refusal that comes later than the policy's timeout", () => {
  it.live.each([400, 404, 401, 403, 409, 429])(
    "(%s) makes the outcome unknown, and the call is not made again",
    (status) =>
      Effect.gen(function* () {
        const { counting, port } = yield* listen()
        const kept = yield* keepImpatiently(port)
        yield* refuseLately(kept, counting, [status])
      }).pipe(Effect.scoped)
  )

  it.live("makes the outcome unknown with every status from 400 to 499", () =>
    Effect.gen(function* () {
      const { counting, port } = yield* listen()
      const kept = yield* keepImpatiently(port)
      yield* refuseLately(kept, counting, range(400, 499), undefined, 32)
    }).pipe(Effect.scoped)
  )

  for (const sender of senders.filter((sender) => !sender.native))
    it.live(`makes the outcome unknown through ${sender.name} too`, () =>
      Effect.gen(function* () {
        const { counting, port } = yield* listen()
        const kept = yield* keepImpatiently(port, undefined, sender)
        yield* refuseLately(kept, counting, [400, 401, 403, 404, 409, 429])
      }).pipe(Effect.scoped)
    )

  it.live.each([400, 404])("(%s) makes the outcome unknown also where the session is lost", (status) =>
    Effect.gen(function* () {
      const { counting, port } = yield* listen()
      counting.staleSession = status
      const kept = yield* keepImpatiently(port)
      yield* refuseLately(kept, counting, [status], () => counting.expireSessions(), 1)
      assert.strictEqual(yield* kept.call("afterwards"), "ok")
    }).pipe(Effect.scoped)
  )

  it.live.each([401, 403])("(%s) makes the outcome unknown also where there are other credentials", (status) =>
    Effect.gen(function* () {
      const { counting, port } = yield* listen()
      let token = 0
      const kept = yield* keepImpatiently(
        port,
        Effect.sync(() => ({ authorization: `Bearer ${++token}` }))
      )
      yield* refuseLately(kept, counting, [status])
    }).pipe(Effect.scoped)
  )
})

describe.each([400, 404])("a call whose session the server has forgotten, saying %s at once,", (status) => {
  /** Refuses the call and forgets its session, so many times. */
  const forget =
    (counting: CountingServer, times: number): Reaction =>
    (arrival) => {
      if (arrival.nth > times) {
        arrival.execute()
        return arrival.answer()
      }
      counting.expireSessions()
      respond(arrival, status)
    }

  it.live("is made again once, on the new session", () =>
    Effect.gen(function* () {
      const { counting, port } = yield* listen()
      counting.staleSession = status
      const kept = yield* keep({ url: `http://localhost:${port}/mcp` })
      counting.react("stale", forget(counting, 1))
      assert.strictEqual(seen(counting, "stale", yield* kept.call("stale")), row("ok", 1, 2))
    }).pipe(Effect.scoped)
  )

  it.live("is not made a third time when the new session is forgotten too", () =>
    Effect.gen(function* () {
      const { counting, port } = yield* listen()
      counting.staleSession = status
      const kept = yield* keep({ url: `http://localhost:${port}/mcp` })
      counting.react("stale", forget(counting, Infinity))
      const said = yield* kept.call("stale")
      assert.include(
        [row("CallFailed", 0, 2), row("SessionUnavailable", 0, 2)],
        seen(counting, "stale", said),
        "refused twice"
      )
      assert.isTrue(yield* kept.well)
    }).pipe(Effect.scoped)
  )
})

describe.each([401, 403])("a call whose credentials are refused with %s at once", (status) => {
  const refusedAs = Effect.fnUntraced(function* (
    headers: Parameters<typeof keep>[0]["headers"],
    accepts: (authorization: string | undefined) => boolean
  ) {
    const { counting, port } = yield* listen()
    const kept = yield* keep({ url: `http://localhost:${port}/mcp`, headers, sender: native })
    counting.react("refused", (arrival) => {
      if (!accepts(arrival.request.headers.authorization)) return respond(arrival, status)
      arrival.execute()
      arrival.answer()
    })
    return seen(counting, "refused", yield* kept.call("refused"))
  })

  it.live("is not made again with the same headers", () =>
    Effect.gen(function* () {
      const observed = yield* refusedAs({ authorization: "Bearer 1" }, () => false)
      assert.strictEqual(observed, row("CallFailed", 0))
    }).pipe(Effect.scoped)
  )

  it.live("is not made again where reading them again gives the same", () =>
    Effect.gen(function* () {
      const observed = yield* refusedAs(Effect.succeed({ authorization: "Bearer 1" }), () => false)
      assert.strictEqual(observed, row("CallFailed", 0))
    }).pipe(Effect.scoped)
  )

  it.live("is made again once where reading them again gives others", () =>
    Effect.gen(function* () {
      let valid = 1
      const observed = yield* refusedAs(
        Effect.sync(() => ({ authorization: `Bearer ${valid}` })),
        (authorization) => {
          // What was good for the handshake is not any more.
          valid = 2
          return authorization === "Bearer 2"
        }
      )
      assert.strictEqual(observed, row("ok", 1, 2))
    }).pipe(Effect.scoped)
  )

  it.live("is not made a third time where each reading gives others", () =>
    Effect.gen(function* () {
      let token = 0
      const observed = yield* refusedAs(
        Effect.sync(() => ({ authorization: `Bearer ${++token}` })),
        () => false
      )
      assert.strictEqual(observed, row("CallFailed", 0, 2))
    }).pipe(Effect.scoped)
  )
})
