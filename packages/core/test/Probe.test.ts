import { assert, describe, it } from "@effect/vitest"
import { Clock, Duration, Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { ProbeRung, Session } from "../src/Connector.ts"
import { Probe } from "../src/engine/index.ts"
import { Evidence, type FailureReason, type KeepalivePolicy } from "../src/index.ts"
import { Closings } from "../src/internal/closings.ts"
import * as Deadlines from "../src/internal/deadlines.ts"
import { Round } from "../src/internal/round.ts"
import { Task } from "../src/internal/task.ts"

const policy = {
  probe: "ping" as KeepalivePolicy.ProbeMethod,
  timeout: Duration.seconds(10),
  fallbackAfter: 2
}

const tabs: ProbeRung = { _tag: "tool", name: "browser_tabs", arguments: { action: "list" } }
const tool: KeepalivePolicy.ToolProbe = { name: "browser_tabs", arguments: { action: "list" } }
const pingOrTabs: KeepalivePolicy.ProbeMethod = { method: "ping", tool }

const silence = Effect.never
const answer = Effect.succeed(Evidence.answered)
const error = (code: number) => Effect.succeed(Evidence.errorAnswer(code))

/** A session that can be probed and nothing else, and what it was asked. */
const sessionOf = (
  reply: (rung: ProbeRung) => Effect.Effect<Evidence.Evidence>,
  kind: { readonly era?: "legacy" | "modern"; readonly stateful?: boolean } = {}
) => {
  const asked: Array<ProbeRung> = []
  const ladder: Probe.Ladder = { latched: undefined, silent: 0 }
  const session: Session<undefined> = {
    client: undefined,
    era: kind.era ?? "legacy",
    stateful: kind.stateful ?? true,
    separateAnswers: true,
    call: () => ({ client: undefined, requests: [], end: () => {} }),
    probe: (rung) =>
      Effect.suspend(() => {
        asked.push(rung)
        return reply(rung)
      }),
    refresh: Effect.succeed(false),
    list: () => Effect.succeed([])
  }
  return { asked, ladder, session }
}

type Probed = ReturnType<typeof sessionOf>

/** One round, and how long it took in seconds. */
const round = ({ ladder, session }: Probed, given: Partial<typeof policy> = {}, deep = false) =>
  Effect.gen(function* () {
    const begun = yield* Clock.currentTimeMillis
    const asked = { ...policy, ...given }
    const context = yield* Effect.context<never>()
    const fork = Effect.runForkWith(context)
    const task = new Task({ fork, closings: new Closings(fork) })
    const asking = Effect.callback<Probe.ProbeResult>((resume) => {
      const port = { deadlines: Deadlines.of(context), policy: asked }
      const round = new Round(port, task, { session, ladder }, undefined, (result) => {
        assert(result !== undefined, "nobody stopped it")
        resume(Effect.succeed(result))
      })
      round.ask(Probe.begin(session, ladder, asked, deep))
    })
    const fiber = yield* Effect.forkChild(
      Effect.flatMap(asking, (result) =>
        Effect.map(Clock.currentTimeMillis, (now) => ({
          ...result,
          verdict: told(result.verdict),
          took: (now - begun) / 1000
        }))
      )
    )
    yield* TestClock.adjust("1 hour")
    return yield* Fiber.join(fiber)
  })

const tags = ({ asked }: Probed) => asked.map((rung) => rung._tag)

/** What a verdict says, with what was seen, which an error tells, as one phrase. */
type Told = Evidence.Verdict extends infer V
  ? V extends unknown
    ? Omit<V, "detail"> & { readonly seen?: string }
    : never
  : never
const told = (verdict: Evidence.Verdict): Told => {
  if (verdict._tag === "Succeeded") return verdict
  const { detail, ...said } = verdict
  return detail?.summary === undefined ? said : { ...said, seen: detail.summary }
}

const succeeded: Told = { _tag: "Succeeded" }
const failed = (reason: FailureReason.FailureReason, seen?: string): Told => ({
  _tag: "Failed",
  reason,
  ...(seen === undefined ? {} : { seen })
})
const rejected = (seen: string): Told => ({ _tag: "AuthRejected", seen })
const busy = (seen: string, retryAfter?: Duration.Duration): Told => ({ _tag: "Busy", retryAfter, seen })

describe("a server that does not know the question (-32601)", () => {
  it.effect("is alive, and is asked for its tools from then on", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) => (rung._tag === "ping" ? error(-32601) : answer))
      for (let index = 0; index < 3; index++) assert.deepStrictEqual((yield* round(probed)).verdict, succeeded)
      assert.deepStrictEqual(tags(probed), ["ping", "list-tools", "list-tools"])
    })
  )

  it.effect("is alive, and is asked the configured tool from then on, with its arguments", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) => (rung._tag === "ping" ? error(-32601) : answer))
      for (let index = 0; index < 3; index++) {
        assert.deepStrictEqual((yield* round(probed, { probe: pingOrTabs })).verdict, succeeded)
      }
      assert.deepStrictEqual(probed.asked, [{ _tag: "ping" }, tabs, tabs])
    })
  )

  it.effect("is alive all the way up the ladder: ping, tool, tools/list", () =>
    Effect.gen(function* () {
      const probed = sessionOf(() => error(-32601))
      for (let index = 0; index < 5; index++) {
        assert.deepStrictEqual((yield* round(probed, { probe: pingOrTabs })).verdict, succeeded)
      }
      assert.deepStrictEqual(tags(probed), ["ping", "tool", "list-tools", "list-tools", "list-tools"])
    })
  )

  it.effect("is alive where the tool alone is the probe, and is asked for its tools from then on", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) => (rung._tag === "tool" ? error(-32601) : answer))
      const probe = { method: "tool", tool } as const
      for (let index = 0; index < 2; index++)
        assert.deepStrictEqual((yield* round(probed, { probe })).verdict, succeeded)
      assert.deepStrictEqual(tags(probed), ["tool", "list-tools"])
    })
  )

  for (const code of [-32601, -32022]) {
    it.effect(`is of another era where discover is asked (${code}), and is asked again: nothing is latched`, () =>
      Effect.gen(function* () {
        for (const probe of ["auto", "ping", "discover", pingOrTabs] as const) {
          const probed = sessionOf((rung) => (rung._tag === "discover" ? error(code) : answer), { era: "modern" })
          for (let index = 0; index < 2; index++) {
            const { verdict } = yield* round(probed, { probe })
            assert.deepStrictEqual(verdict, failed("session_lost", `JSON-RPC error ${code}`))
          }
          assert.deepStrictEqual(tags(probed), ["discover", "discover"])
        }
      })
    )
  }

  it.effect("is alive in the modern era where the question is the tool or the list, as in the other", () =>
    Effect.gen(function* () {
      const probed = sessionOf(() => error(-32601), { era: "modern" })
      const probe = { method: "tool", tool } as const
      for (let index = 0; index < 2; index++)
        assert.deepStrictEqual((yield* round(probed, { probe })).verdict, succeeded)
      assert.deepStrictEqual(tags(probed), ["tool", "list-tools"])
    })
  )

  it.effect("is asked the policy's question again on its next session: what was learned ends with the session", () =>
    Effect.gen(function* () {
      const first = sessionOf(() => error(-32601))
      yield* round(first)
      const second = sessionOf(() => answer)
      yield* round(second)
      assert.deepStrictEqual(tags(second), ["ping"])
    })
  )

  it.effect("keeps its new question also when it fails to answer it", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) => (rung._tag === "ping" ? error(-32601) : silence))
      yield* round(probed)
      for (let index = 0; index < 3; index++) assert.deepStrictEqual((yield* round(probed)).verdict, failed("timeout"))
      assert.deepStrictEqual(tags(probed), ["ping", "list-tools", "list-tools", "list-tools"])
    })
  )
})

describe("a server that keeps silent towards ping (the first seed had no fallback)", () => {
  const silentPing = () => sessionOf((rung) => (rung._tag === "ping" ? silence : answer))

  it.effect("is asked the tool after fallbackAfter pings, in the same round, and no failure is counted", () =>
    Effect.gen(function* () {
      const probed = silentPing()
      const first = yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(first, { method: "ping", verdict: failed("timeout"), asked: 1, took: 10 })
      const second = yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(second, { method: "tool", verdict: succeeded, asked: 2, took: 10 })
      assert.deepStrictEqual(probed.asked, [{ _tag: "ping" }, { _tag: "ping" }, tabs])
    })
  )

  it.effect("is asked the tool first from then on, until the session ends", () =>
    Effect.gen(function* () {
      const probed = silentPing()
      for (let index = 0; index < 5; index++) yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(tags(probed), ["ping", "ping", "tool", "tool", "tool", "tool"])
      const next = silentPing()
      yield* round(next, { probe: pingOrTabs })
      assert.deepStrictEqual(tags(next), ["ping"])
    })
  )

  it.effect(
    "is asked the tool in the first round where fallbackAfter is 1, and not before the fifth where it is 5",
    () =>
      Effect.gen(function* () {
        const hasty = silentPing()
        yield* round(hasty, { probe: pingOrTabs, fallbackAfter: 1 })
        assert.deepStrictEqual(tags(hasty), ["ping", "tool"])
        const patient = silentPing()
        for (let index = 0; index < 5; index++) yield* round(patient, { probe: pingOrTabs, fallbackAfter: 5 })
        assert.deepStrictEqual(tags(patient), ["ping", "ping", "ping", "ping", "ping", "tool"])
      })
  )

  it.effect("has failed when the tool is silent too; the round took two timeouts, and the tool stays in use", () =>
    Effect.gen(function* () {
      const probed = sessionOf(() => silence)
      yield* round(probed, { probe: pingOrTabs })
      const second = yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(second, { method: "tool", verdict: failed("timeout"), asked: 2, took: 20 })
      const third = yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(third, { method: "tool", verdict: failed("timeout"), asked: 1, took: 10 })
    })
  )

  it.effect("begins anew after a ping that it answered, and after one that failed otherwise", () =>
    Effect.gen(function* () {
      const between: ReadonlyArray<Effect.Effect<Evidence.Evidence>> = [
        answer,
        error(-32603),
        Effect.succeed(Evidence.transportFailure("reset")),
        Effect.succeed(Evidence.refused({ status: 503, withSession: true }))
      ]
      for (const interlude of between) {
        const script = [silence, interlude, silence, silence]
        const probed = sessionOf((rung) => (rung._tag === "ping" ? (script.shift() ?? answer) : answer))
        for (let index = 0; index < 3; index++) yield* round(probed, { probe: pingOrTabs })
        assert.deepStrictEqual(tags(probed), ["ping", "ping", "ping"])
        yield* round(probed, { probe: pingOrTabs })
        assert.deepStrictEqual(tags(probed), ["ping", "ping", "ping", "ping", "tool"])
      }
    })
  )

  it.effect("and that does not know the tool either is alive, and is asked for its tools from then on", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) =>
        rung._tag === "ping" ? silence : rung._tag === "tool" ? error(-32601) : answer
      )
      yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual((yield* round(probed, { probe: pingOrTabs })).verdict, succeeded)
      assert.deepStrictEqual((yield* round(probed, { probe: pingOrTabs })).verdict, succeeded)
      assert.deepStrictEqual(tags(probed), ["ping", "ping", "tool", "list-tools"])
    })
  )

  it.effect("is asked the tool as well where the question of its era is discover", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) => (rung._tag === "discover" ? silence : answer), { era: "modern" })
      for (let index = 0; index < 3; index++) yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(tags(probed), ["discover", "discover", "tool", "tool"])
    })
  )

  it.effect("is asked nothing else where the policy names no tool", () =>
    Effect.gen(function* () {
      const probed = sessionOf(() => silence)
      for (let index = 0; index < 4; index++) assert.deepStrictEqual((yield* round(probed)).verdict, failed("timeout"))
      assert.deepStrictEqual(tags(probed), ["ping", "ping", "ping", "ping"])
    })
  )
})

describe("a probe", () => {
  it.effect("has the policy's timeout, and what is asked in vain is interrupted", () =>
    Effect.gen(function* () {
      let interrupted = 0
      const probed = sessionOf(() => Effect.onInterrupt(Effect.never, () => Effect.sync(() => interrupted++)))
      for (const timeout of [1, 7, 60]) {
        const { took, verdict } = yield* round(probed, { timeout: Duration.seconds(timeout) })
        assert.strictEqual(took, timeout)
        assert.deepStrictEqual(verdict, failed("timeout"))
      }
      assert.strictEqual(interrupted, 3)
    })
  )

  it.effect("that is answered just in time is answered", () =>
    Effect.gen(function* () {
      const probed = sessionOf(() => Effect.delay(answer, "9999 millis"))
      assert.deepStrictEqual(yield* round(probed), { method: "ping", verdict: succeeded, asked: 1, took: 9.999 })
    })
  )

  it.effect("asks what the policy says", () =>
    Effect.gen(function* () {
      for (const [probe, rung] of [
        ["ping", { _tag: "ping" }],
        ["list-tools", { _tag: "list-tools" }],
        ["discover", { _tag: "ping" }],
        ["options", { _tag: "options" }],
        [pingOrTabs, { _tag: "ping" }],
        [{ method: "tool", tool }, tabs],
        [
          { method: "tool", tool: { name: "bare" } },
          { _tag: "tool", name: "bare", arguments: {} }
        ]
      ] as const) {
        const probed = sessionOf(() => answer)
        const { asked, method } = yield* round(probed, { probe })
        assert.deepStrictEqual(probed.asked, [rung])
        assert.strictEqual(method, rung._tag)
        assert.strictEqual(asked, 1)
      }
    })
  )

  it.effect(
    "takes every JSON-RPC answer to a ping or a tool for life, also one that a gateway may give for a dead server",
    () =>
      Effect.gen(function* () {
        for (const code of [-32700, -32600, -32601, -32602, -32603, -32000, -32001, -32019, -32020, 1, 0]) {
          for (const probe of ["ping", { method: "tool", tool }] as const) {
            assert.deepStrictEqual(
              (yield* round(
                sessionOf(() => error(code)),
                { probe }
              )).verdict,
              succeeded
            )
          }
        }
      })
  )
})

describe("the deep probe", () => {
  const codes = [
    [-32603, failed("upstream", "JSON-RPC error -32603")],
    [-32000, failed("upstream", "JSON-RPC error -32000")],
    [-32001, failed("upstream", "JSON-RPC error -32001")],
    [-32010, failed("upstream", "JSON-RPC error -32010")],
    [-32019, failed("upstream", "JSON-RPC error -32019")],
    [-32020, succeeded],
    [-31999, succeeded],
    [-32601, succeeded],
    [-32602, succeeded],
    [-32600, succeeded],
    [-32700, succeeded],
    [-32042, succeeded]
  ] as const

  it.effect("asks for the tools and sees through a gateway that answers for a dead server", () =>
    Effect.gen(function* () {
      for (const [code, verdict] of codes) {
        const probed = sessionOf((rung) => (rung._tag === "ping" ? answer : error(code)))
        assert.deepStrictEqual((yield* round(probed)).verdict, succeeded)
        const deep = yield* round(probed, {}, true)
        assert.deepStrictEqual({ code, verdict: deep.verdict }, { code, verdict })
        assert.strictEqual(deep.method, "list-tools")
        assert.deepStrictEqual(tags(probed), ["ping", "list-tools"])
      }
    })
  )

  it.effect("is what list-tools as the policy's probe is, and what the last rung of the ladder is", () =>
    Effect.gen(function* () {
      for (const [code, verdict] of codes) {
        const chosen = sessionOf(() => error(code))
        assert.deepStrictEqual((yield* round(chosen, { probe: "list-tools" })).verdict, verdict)
        const climbed = sessionOf((rung) => error(rung._tag === "ping" ? -32601 : code))
        yield* round(climbed)
        assert.deepStrictEqual((yield* round(climbed)).verdict, verdict)
      }
    })
  )

  it.effect("leaves the ladder alone: the next probe asks what it would have asked", () =>
    Effect.gen(function* () {
      const probed = sessionOf((rung) => (rung._tag === "list-tools" ? error(-32601) : silence))
      yield* round(probed, { probe: pingOrTabs })
      yield* round(probed, { probe: pingOrTabs }, true)
      yield* round(probed, { probe: pingOrTabs })
      assert.deepStrictEqual(tags(probed), ["ping", "list-tools", "ping", "tool"])
    })
  )

  it.effect("has the policy's timeout", () =>
    Effect.gen(function* () {
      const deep = yield* round(
        sessionOf(() => silence),
        { timeout: Duration.seconds(3) },
        true
      )
      assert.deepStrictEqual(deep, { method: "list-tools", verdict: failed("timeout"), asked: 1, took: 3 })
    })
  )
})

describe("an OPTIONS request", () => {
  const statuses: ReadonlyArray<readonly [status: number, verdict: Told]> = [
    // what real servers answer, and what the second seed took for death unless it was 200
    [200, succeeded],
    [204, succeeded],
    [400, succeeded],
    [404, succeeded],
    [405, succeeded],
    [301, succeeded],
    [409, succeeded],
    [401, rejected("HTTP 401")],
    [403, rejected("HTTP 403")],
    [429, busy("HTTP 429")],
    [500, failed("http_5xx", "HTTP 500")],
    [502, failed("http_5xx", "HTTP 502")],
    [503, failed("http_5xx", "HTTP 503")],
    [504, failed("http_5xx", "HTTP 504")]
  ]

  it.effect.each(statuses)("answered with %s is judged at the level of HTTP", ([status, verdict]) =>
    Effect.gen(function* () {
      for (const withSession of [true, false]) {
        const probed = sessionOf(() => Effect.succeed(Evidence.refused({ status, withSession })))
        const { method, verdict: found } = yield* round(probed, { probe: "options" })
        assert.deepStrictEqual({ method, verdict: found }, { method: "options", verdict })
      }
    })
  )
})

describe("an MCP probe that is refused", () => {
  const retryAfter = Duration.seconds(20)
  const refusals: ReadonlyArray<readonly [refusal: Parameters<typeof Evidence.refused>[0], verdict: Told]> = [
    [{ status: 404, withSession: true }, failed("session_lost", "HTTP 404")],
    [{ status: 400, withSession: true }, failed("session_lost", "HTTP 400")],
    [{ status: 404, withSession: false }, failed("http_4xx", "HTTP 404")],
    [{ status: 400, withSession: false }, failed("http_4xx", "HTTP 400")],
    [{ status: 405, withSession: true }, failed("http_4xx", "HTTP 405")],
    [{ status: 401, withSession: true }, rejected("HTTP 401")],
    [{ status: 403, withSession: true }, rejected("HTTP 403")],
    [{ status: 401, withSession: false }, rejected("HTTP 401")],
    [{ status: 429, withSession: true }, busy("HTTP 429")],
    [{ status: 429, withSession: true, retryAfter }, busy("HTTP 429", retryAfter)],
    [{ status: 503, withSession: true, retryAfter }, busy("HTTP 503", retryAfter)],
    [{ status: 503, withSession: true }, failed("http_5xx", "HTTP 503")],
    [{ status: 500, withSession: true, retryAfter }, failed("http_5xx", "HTTP 500")],
    [{ status: 502, withSession: false }, failed("http_5xx", "HTTP 502")],
    [{ status: 504, withSession: true }, failed("http_5xx", "HTTP 504")],
    // a redirect that was not followed leads away from the server
    [{ status: 302, withSession: true }, failed("protocol", "HTTP 302")],
    [{ status: 307, withSession: true }, failed("protocol", "HTTP 307")]
  ]

  it.effect.each(refusals.map(([refusal, verdict]) => ({ ...refusal, verdict })))(
    "with $status (session id: $withSession, Retry-After: $retryAfter) means $verdict._tag",
    ({ verdict, ...refusal }) =>
      Effect.gen(function* () {
        for (const probe of ["ping", "list-tools", "discover", { method: "tool", tool }] as const) {
          const probed = sessionOf(() => Effect.succeed(Evidence.refused(refusal)))
          assert.deepStrictEqual((yield* round(probed, { probe })).verdict, verdict)
          assert.deepStrictEqual((yield* round(probed, { probe }, true)).verdict, verdict)
        }
      })
  )
})

describe("when a healthy session is probed", () => {
  const kinds = [
    { era: "legacy", stateful: true },
    { era: "legacy", stateful: false },
    { era: "modern", stateful: true },
    { era: "modern", stateful: false }
  ] as const

  const methods = ["ping", "list-tools", "discover", "options", pingOrTabs, { method: "tool", tool }] as const

  it("with auto: always where something lives over there for us alone, elsewhere only in use, in both eras", () => {
    assert.deepStrictEqual(
      kinds.map((kind) => Probe.attentionOf("auto", kind)),
      ["always", "inUse", "always", "inUse"]
    )
  })

  it("with none: never; with a method that was asked for: always", () => {
    for (const kind of kinds) {
      assert.strictEqual(Probe.attentionOf("none", kind), "never")
      for (const probe of methods) assert.strictEqual(Probe.attentionOf(probe, kind), "always")
    }
  })

  it("before callers get it: unless the handshake was the question, or the session is left alone while nobody calls", () => {
    const asked = (probe: KeepalivePolicy.ProbeMethod) => kinds.map((kind) => Probe.isAskedFirst(probe, kind))
    assert.deepStrictEqual(asked("auto"), [true, false, false, false])
    for (const probe of ["ping", "discover", pingOrTabs] as const) {
      assert.deepStrictEqual(asked(probe), [true, true, false, false])
    }
    for (const probe of ["list-tools", "options", { method: "tool", tool }] as const) {
      assert.deepStrictEqual(asked(probe), [true, true, true, true])
    }
    assert.deepStrictEqual(asked("none"), [false, false, false, false])
  })

  it.effect("ping and discover name one question, which each era asks in its own way; so a doubt is decided, too", () =>
    Effect.gen(function* () {
      for (const probe of ["auto", "none", "ping", "discover"] as const) {
        for (const kind of kinds) {
          const probed = sessionOf(() => answer, kind)
          assert.deepStrictEqual((yield* round(probed, { probe })).verdict, succeeded)
          assert.deepStrictEqual(tags(probed), [kind.era === "legacy" ? "ping" : "discover"])
        }
      }
    })
  )
})

describe("what counts as life, and as what", () => {
  const seconds = Duration.seconds(5)
  const refused = (status: number, withSession: boolean, retryAfter?: Duration.Duration) =>
    Evidence.refused({ status, withSession, ...(retryAfter === undefined ? {} : { retryAfter }) })

  interface TableRow {
    readonly learned: string
    readonly evidence: Evidence.Evidence
    /** to a probe, to the deep probe where that differs, and to OPTIONS where that differs */
    readonly probe: Told
    readonly deep?: Told
    readonly options?: Told
    /** to `server/discover`, where that differs */
    readonly discover?: Told
    readonly attempt: Told
    readonly call: ReturnType<typeof Evidence.ofCall>
    /** of a stream that is kept open, where that differs from `call` */
    readonly stream?: ReturnType<typeof Evidence.ofStream>
    readonly reason: FailureReason.FailureReason
  }

  const answers: ReadonlyArray<TableRow> = [
    {
      learned: "an answer, isError included",
      evidence: Evidence.answered,
      probe: succeeded,
      attempt: succeeded,
      call: undefined,
      reason: "unknown"
    },
    {
      learned: "the JSON-RPC error -32601",
      evidence: Evidence.errorAnswer(-32601),
      probe: succeeded,
      discover: failed("session_lost", "JSON-RPC error -32601"),
      attempt: failed("protocol", "JSON-RPC error -32601"),
      call: undefined,
      stream: "session",
      reason: "protocol"
    },
    {
      learned: "the JSON-RPC error -32022: another revision",
      evidence: Evidence.errorAnswer(-32022),
      probe: succeeded,
      discover: failed("session_lost", "JSON-RPC error -32022"),
      attempt: failed("protocol", "JSON-RPC error -32022"),
      call: "session",
      reason: "protocol"
    },
    ...[-32602, -32600, -32700, -32020, -32021, -31999, -1, 404].map((code) => ({
      learned: `the JSON-RPC error ${code}`,
      evidence: Evidence.errorAnswer(code),
      probe: succeeded,
      attempt: failed("protocol", `JSON-RPC error ${code}`),
      call: undefined,
      reason: "protocol" as const
    })),
    ...[-32603, -32000, -32001, -32019].map((code) => ({
      learned: `the JSON-RPC error ${code}, which a gateway may give for a dead server`,
      evidence: Evidence.errorAnswer(code),
      probe: succeeded,
      deep: failed("upstream", `JSON-RPC error ${code}`),
      attempt: failed("upstream", `JSON-RPC error ${code}`),
      call: "upstream" as const,
      reason: "upstream" as const
    }))
  ]

  const refusals: ReadonlyArray<TableRow> = [
    ...[404, 400].map((status) => ({
      learned: `${status} to a request with a session id`,
      evidence: refused(status, true),
      probe: failed("session_lost", `HTTP ${status}`),
      options: succeeded,
      attempt: failed("http_4xx", `HTTP ${status}`),
      call: "session" as const,
      reason: "session_lost" as const
    })),
    ...[404, 400].map((status) => ({
      learned: `${status} to a request without a session id`,
      evidence: refused(status, false),
      probe: failed("http_4xx", `HTTP ${status}`),
      options: succeeded,
      attempt: failed("http_4xx", `HTTP ${status}`),
      call: undefined,
      reason: "http_4xx" as const
    })),
    ...[true, false].map((withSession) => ({
      learned: `405 ${withSession ? "with" : "without"} a session id`,
      evidence: refused(405, withSession),
      probe: failed("http_4xx", "HTTP 405"),
      options: succeeded,
      attempt: failed("http_4xx", "HTTP 405"),
      call: undefined,
      // whoever offered the stream before is not there any more
      stream: withSession ? ("lost" as const) : undefined,
      reason: "http_4xx" as const
    })),
    ...[402, 406, 409, 410, 413, 415, 422].map((status) => ({
      learned: `${status}, one of the other 4xx`,
      evidence: refused(status, true),
      probe: failed("http_4xx", `HTTP ${status}`),
      options: succeeded,
      attempt: failed("http_4xx", `HTTP ${status}`),
      call: undefined,
      reason: "http_4xx" as const
    })),
    ...[300, 301, 302, 303, 304, 307, 308].map((status) => ({
      learned: `${status}, a redirect that was not followed`,
      evidence: refused(status, true),
      probe: failed("protocol", `HTTP ${status}`),
      options: succeeded,
      attempt: failed("protocol", `HTTP ${status}`),
      call: undefined,
      reason: "protocol" as const
    })),
    ...[401, 403].flatMap((status) =>
      [true, false].map((withSession) => ({
        learned: `${status} ${withSession ? "with" : "without"} a session id`,
        evidence: refused(status, withSession),
        probe: rejected(`HTTP ${status}`),
        attempt: rejected(`HTTP ${status}`),
        call: "auth" as const,
        reason: "auth" as const
      }))
    ),
    {
      learned: "429",
      evidence: refused(429, true),
      probe: busy("HTTP 429"),
      attempt: busy("HTTP 429"),
      call: undefined,
      reason: "busy"
    },
    ...[429, 503].map((status) => ({
      learned: `${status} with Retry-After`,
      evidence: refused(status, true, seconds),
      probe: busy(`HTTP ${status}`, seconds),
      attempt: busy(`HTTP ${status}`, seconds),
      call: undefined,
      reason: "busy" as const
    })),
    ...[500, 501, 502, 503, 504, 599].map((status) => ({
      learned: `${status} without Retry-After`,
      evidence: refused(status, true),
      probe: failed("http_5xx", `HTTP ${status}`),
      attempt: failed("http_5xx", `HTTP ${status}`),
      call: "transport" as const,
      reason: "http_5xx" as const
    })),
    {
      learned: "502 with Retry-After",
      evidence: refused(502, true, seconds),
      probe: failed("http_5xx", "HTTP 502"),
      attempt: failed("http_5xx", "HTTP 502"),
      call: "transport",
      reason: "http_5xx"
    }
  ]

  const failures: ReadonlyArray<TableRow> = (
    [
      "timeout",
      "refused",
      "reset",
      "dns",
      "tls",
      "stream_cut",
      "process_exit",
      "protocol",
      "overflow",
      "unknown"
    ] as const
  ).map((reason) => ({
    learned: `a failure of the transport: ${reason}`,
    evidence: Evidence.transportFailure(reason, undefined, "ECODE"),
    probe: failed(reason, "ECODE"),
    attempt: failed(reason, "ECODE"),
    call: "transport",
    reason
  }))

  it.each([...answers, ...refusals, ...failures])("$learned", (row) => {
    const { attempt, call, evidence, probe, reason } = row
    assert.deepStrictEqual(told(Evidence.ofProbe(evidence, { deep: false, httpOnly: false })), probe)
    assert.deepStrictEqual(told(Evidence.ofProbe(evidence, { deep: true, httpOnly: false })), row.deep ?? probe)
    assert.deepStrictEqual(told(Evidence.ofProbe(evidence, { deep: false, httpOnly: true })), row.options ?? probe)
    const discover = Evidence.ofProbe(evidence, { deep: false, httpOnly: false, discover: true })
    assert.deepStrictEqual(told(discover), row.discover ?? probe)
    assert.deepStrictEqual(told(Evidence.ofAttempt(evidence)), attempt)
    assert.deepStrictEqual(Evidence.ofCall(evidence), call)
    const stream = "stream" in row ? row.stream : call === "transport" ? "stream" : call
    assert.deepStrictEqual(Evidence.ofStream(evidence), stream)
    assert.deepStrictEqual(Evidence.reasonOf(evidence), reason)
  })

  it("what was seen is told in words of this library's own, and as a code", () => {
    const output = ["what the server wrote"]
    const cases: ReadonlyArray<readonly [Evidence.Evidence, string | undefined, number | string | undefined]> = [
      [Evidence.answered, undefined, undefined],
      [Evidence.errorAnswer(-32000), "JSON-RPC error -32000", -32000],
      [refused(503, true, seconds), "HTTP 503", 503],
      [Evidence.transportFailure("reset"), undefined, undefined],
      [Evidence.transportFailure("tls", undefined, "CERT_HAS_EXPIRED"), "CERT_HAS_EXPIRED", "CERT_HAS_EXPIRED"],
      [
        Evidence.transportFailure("reset", { summary: "ECONNRESET on read", output }, "ECONNRESET"),
        "ECONNRESET on read",
        "ECONNRESET"
      ],
      [Evidence.transportFailure("process_exit", { summary: "exit code 1", output }), "exit code 1", undefined]
    ]
    for (const [evidence, summary, code] of cases) {
      assert.strictEqual(Evidence.summaryOf(evidence), summary)
      assert.strictEqual(Evidence.codeOf(evidence), code)
      const kept = evidence._tag === "TransportFailure" && evidence.detail !== undefined ? output : []
      assert.deepStrictEqual(Evidence.detailOf(evidence), summary === undefined ? undefined : { summary, output: kept })
    }
  })

  it("an implementation-defined code is one of -32000 to -32019, both ends included, or -32603", () => {
    const upstream: Array<number> = []
    for (let code = -33_000; code <= -31_000; code++) if (Evidence.isUpstreamCode(code)) upstream.push(code)
    assert.deepStrictEqual(upstream, [-32603, ...Array.from({ length: 20 }, (_, index) => -32019 + index)])
  })
})
