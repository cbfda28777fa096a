/**
 * Event streams and heads of hostile servers. What is promised:
 *
 * | what the server sends                              | in an answer: the call   | on the standing stream: the backend |
 * |----------------------------------------------------|--------------------------|-------------------------------------|
 * | event ids of 60 MB, again and again                | OutcomeUnknown, overflow | Disconnected, overflow              |
 * | 1,000 event ids of 1 KiB                           | answered                 | Connected                           |
 * | ids in events of 120 KB                            | answered                 | Connected; the heap does not grow by the events |
 * | `data:` lines without content, without an end      | OutcomeUnknown, overflow | Disconnected, overflow              |
 * | a `data:` line or a comment line without an end    | OutcomeUnknown, overflow | Disconnected, overflow              |
 * | comment lines without an end                       | waits for its answer     | Connected                           |
 * | 20,000 lines of head, or a head without an end     | OutcomeUnknown, overflow |                                     |
 * | `retry:` of 34 days, or of a million digits        | waits for its answer     | Connected; not opened again and again |
 * | notifications of 100,000 levels                    |                          | Connected                           |
 *
 * A call whose answer is too much leaves the session as it is; on the standing stream the session itself is ended: what
 * it has missed is not known. A comment has no meaning and no bound, but a line has the bound of a message, whatever it
 * may turn out to be. And each time what `support.ts` says of the host.
 */
import { assert, describe } from "@effect/vitest"
import { promises, type Row } from "./support.ts"

const inAnswer = (server: Row["server"]): Row => ({
  server,
  host: { calls: [{ tool: "attack" }] },
  calls: { "OutcomeUnknown overflow": 1 },
  state: "Connected"
})

const onStanding = (server: Row["server"]): Row => ({
  server,
  host: { calls: [{ tool: "begin" }], until: "Disconnected" },
  calls: { ok: 1 },
  state: "Disconnected overflow"
})

describe("event ids", () => {
  promises({
    "of 60 MB in an answer end the call": inAnswer("ids of 60 MB"),
    "of 60 MB on the standing stream end the session": onStanding("ids of 60 MB"),
    "of 1 KiB are taken, a thousand of them": {
      server: "ids of 1 KiB",
      host: {
        calls: [{ tool: "begin" }, { tool: "attack", times: 3, inTurn: true, characters: 1 }]
      },
      calls: { ok: 4 },
      state: "Connected"
    },
    "are remembered without the events that they came in": {
      server: "ids within large events",
      host: {
        calls: [
          { tool: "echo", times: 30, inTurn: true },
          { tool: "attack", times: 160, inTurn: true, characters: 120_000 }
        ],
        measuresHeap: true
      },
      calls: { ok: 190 },
      state: "Connected",
      // of 128 such events it would be 15 MB; the code that runs for the first time is less than 1 MB
      also: ({ growth }) => assert.isBelow(growth ?? Infinity, 3e6)
    }
  })
})

describe("lines", () => {
  promises({
    "of data without content, without an end, end the call": inAnswer("empty data lines"),
    "of data without content, without an end, end the session": onStanding("empty data lines"),
    "of data that do not end end the call": inAnswer("data line"),
    "of data that do not end end the session": onStanding("data line"),
    "of comment that do not end end the call": inAnswer("comment line"),
    "of comment that do not end end the session": onStanding("comment line"),
    "of comment, without an end, are no answer and do no harm": {
      server: "comments",
      host: { calls: [{ tool: "attack", deadline: 1500 }] },
      calls: { "given up": 1 },
      state: "Connected"
    },
    "of comment, without an end, on the standing stream do no harm": {
      server: "comments",
      host: { calls: [{ tool: "begin" }], watch: 2000 },
      calls: { ok: 1 },
      state: "Connected"
    }
  })
})

describe("a head", () => {
  promises({
    "of 20,000 lines ends the call": inAnswer("head of many lines"),
    "without an end ends the call": inAnswer("head without an end")
  })
})

/** It ends the stream as well. */
const retried = (server: Row["server"], calls: Row["host"]["calls"] & {}, ends: Row["calls"]): Row => ({
  server,
  host: { calls, watch: 1500 },
  calls: ends,
  state: "Connected",
  // the first one, and those of a resumption that does not wait
  also: (_, { streams }) => assert.isBelow(streams, 10)
})

describe("retry", () => {
  promises({
    "of any size in an answer does no harm": retried(
      "retry",
      [{ tool: "attack", times: 2, messages: ["long", "huge"], deadline: 1500 }],
      // a time of a million digits is none: the stream is resumed at once, which this server does not do
      { "given up": 1, "OutcomeUnknown stream_cut": 1 }
    ),
    "of 34 days on the standing stream does no harm": retried("retry", [{ tool: "begin" }], { ok: 1 }),
    "of a million digits on the standing stream does no harm": retried(
      "retry of a million digits",
      [{ tool: "begin" }],
      {
        ok: 1
      }
    )
  })
})

describe("notifications", () => {
  promises({
    "of 100,000 levels do no harm": {
      server: "deep notification",
      host: { calls: [{ tool: "begin" }, { tool: "echo" }], watch: 1000 },
      calls: { ok: 2 },
      state: "Connected"
    }
  })
})
