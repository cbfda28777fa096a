/**
 * Answers of hostile servers. What is promised:
 *
 * | the server's answer                                     | the call                  | the backend           |
 * |---------------------------------------------------------|---------------------------|-----------------------|
 * | more than 16 MiB, or 500,000 containers, once decoded   | OutcomeUnknown, overflow  | Connected             |
 * | more than 1 MiB to our own ping                         |                           | Disconnected, overflow |
 * | 15 MiB of text, 400,000 objects, 100,000 levels         | answered                  | Connected             |
 * | 10 KB byte by byte, 1 MiB in chunks of one byte         | answered, in linear time  | Connected             |
 * | a coding that it has not, or gzip in gzip               | OutcomeUnknown, protocol  | Connected             |
 * | 422 with a body that does not end                       | CallFailed, http_4xx      | Connected             |
 * | 500 with a body that does not end                       | OutcomeUnknown, http_5xx  | Connected             |
 *
 * No honest server codes an answer twice, so that one coding is undone and no second one.
 * And each time what `support.ts` says of the host: it lives within its bounds, and the other backend's calls succeed.
 */
import { assert, describe } from "@effect/vitest"
import { promises, type Row } from "./support.ts"

/** One answer that is longer than a message may be, and one that is not and has more objects than a message may have. */
const tooMuch = (server: Row["server"]): Row => ({
  server,
  host: { calls: [{ tool: "attack", times: 2, inTurn: true, messages: ["over", "within"] }] },
  calls: { "OutcomeUnknown overflow": 2 },
  state: "Connected"
})

/** `bound`: milliseconds of work, the calls to the other backend included. */
const answered = (server: Row["server"], characters: number, bound: number): Row => ({
  server,
  host: { calls: [{ tool: "attack", characters }] },
  calls: { ok: 1 },
  state: "Connected",
  also: ({ worked }) => assert.isBelow(worked, bound)
})

/** Two of them in a row are what a policy of this suite gives up a session for. */
const probed = (server: Row["server"]): Row => ({
  server,
  host: { until: "Disconnected" },
  calls: {},
  state: "Disconnected overflow"
})

describe("an answer that is too much ends its call, and neither the session nor the host", () => {
  promises({
    JSON: tooMuch("bomb, JSON"),
    "JSON in gzip": tooMuch("bomb, JSON, gzip"),
    "JSON in brotli": tooMuch("bomb, JSON, brotli"),
    "an event": tooMuch("bomb, event"),
    "an event in gzip": tooMuch("bomb, event, gzip"),
    "an event in brotli": tooMuch("bomb, event, brotli")
  })
})

describe("an answer to our own ping that is too much is a failed probe, and the reason is overflow", () => {
  promises({
    "2 MiB of JSON": probed("ping bomb, JSON"),
    "an event in gzip": probed("ping bomb, gzip"),
    "JSON in brotli": probed("ping bomb, brotli")
  })
})

describe("an answer within the bounds is handed on, whatever it looks like", () => {
  promises({
    "15 MiB of text, 400,000 objects": {
      server: "much, within the bounds",
      host: {
        calls: [
          { tool: "attack", messages: ["text"], characters: 15 * 1024 * 1024 },
          { tool: "attack", messages: ["event"], characters: 15 * 1024 * 1024 },
          { tool: "attack", messages: ["objects"], characters: 0 }
        ]
      },
      calls: { ok: 3 },
      state: "Connected"
    },
    "100,000 levels": {
      server: "deep answer",
      host: { calls: [{ tool: "attack", times: 2, messages: ["json", "sse"], characters: 0 }] },
      calls: { ok: 2 },
      state: "Connected"
    },
    "10 KB of JSON, byte by byte": answered("bytes, JSON", 10_000, 3000),
    "an event of 10 KB, byte by byte": answered("bytes, event", 10_000, 3000),
    "1 MiB of JSON in chunks of one byte": answered("chunks, JSON", 1024 * 1024, 4000),
    "an event of 1 MiB in chunks of one byte": answered("chunks, event", 1024 * 1024, 4000)
  })
})

describe("an answer that is none ends its call", () => {
  promises({
    "what is not in the coding that it names": {
      server: "coding that lies",
      host: { calls: [{ tool: "attack", times: 3, messages: ["gzip", "br", "none"] }] },
      calls: { "OutcomeUnknown protocol": 3 },
      state: "Connected"
    },
    "a bomb of gzip in gzip": {
      server: "bomb, gzip twice",
      host: { calls: [{ tool: "attack" }] },
      calls: { "OutcomeUnknown protocol": 1 },
      state: "Connected"
    },
    "30 refusals with 422 whose bodies do not end": {
      server: "refusal 422 without an end",
      host: { calls: [{ tool: "attack", times: 30 }] },
      calls: { "CallFailed http_4xx": 30 },
      state: "Connected"
    },
    "30 refusals with 500 whose bodies do not end": {
      server: "refusal 500 without an end",
      host: { calls: [{ tool: "attack", times: 30 }] },
      calls: { "OutcomeUnknown http_5xx": 30 },
      state: "Connected"
    }
  })
})
