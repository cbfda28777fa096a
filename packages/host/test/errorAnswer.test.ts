import { assert, describe, it } from "@effect/vitest"
import { BackendError, ConnectionState, FailureReason } from "@vmcp-keepalive/core"
import { Peer } from "@vmcp-keepalive/sdk-client/peer"
import { Duration } from "effect"
import { ErrorAnswer } from "../src/index.ts"

const unknown = new BackendError.OutcomeUnknown({
  backend: "b",
  generation: 3,
  reason: "reset",
  detail: { summary: "ECONNRESET on read", output: ["a secret of the server's"] },
  retryAfter: undefined
})

/** Those on which frameworks open a new connection and call again, or take the connection for dead. */
const words =
  /fetch failed|connection (closed|refused|reset)|not connected|http 40\d|\b40[0-9]\b|\b50[0-9]\b|econn|epipe|etimedout|enotfound|socket|timed? ?out|terminated|aborted|session (not found|terminated|expired|id)|no valid session|network|disconnect|reconnect|unauthorized|transport|stream/i

const states = ["CircuitOpen", "Connecting", "NeedsAuth", "Isolated", "Closed"] as const

const everyError = (reason: FailureReason.FailureReason | undefined): ReadonlyArray<BackendError.CallError> => {
  const backend = "b"
  const detail = { summary: "HTTP 404", output: ["a secret of the server's"] }
  const retryAfter = Duration.seconds(404)
  return [
    new BackendError.SessionUnavailable({ backend, state: "Disconnected", reason, detail, retryAfter }),
    ...states.map((state) => new BackendError.CallRejected({ backend, state, reason, detail, retryAfter })),
    ...(reason === undefined
      ? []
      : [new BackendError.OutcomeUnknown({ backend, generation: 1, reason, detail, retryAfter })]),
    new BackendError.CallFailed({ backend, reason, code: 404, retryAfter, cause: new Error("a secret: fetch failed") })
  ]
}

describe("an error towards the host", () => {
  it("is what the server said, untouched, where it has answered", () => {
    const said = { code: -32042, message: "fetch failed", data: { elicitations: [] } }
    // and as another copy of the package, which the process may have loaded, makes it
    const other = Object.assign(new Error(said.message), { name: "RpcError", code: said.code, data: said.data })
    for (const cause of [new Peer.RpcError(said), other]) {
      const error = new BackendError.CallFailed({
        backend: "b",
        reason: undefined,
        code: -32042,
        retryAfter: undefined,
        cause
      })
      assert.deepStrictEqual(ErrorAnswer.ofCall(error), said)
      assert.isUndefined(ErrorAnswer.dataOf(ErrorAnswer.ofCall(error)))
    }
  })

  it("says of a call that may have been executed that it is unknown, and why", () => {
    const { code, data } = ErrorAnswer.ofCall(unknown)
    assert.strictEqual(code, -32082)
    assert.deepStrictEqual(data, { error: "OutcomeUnknown", backend: "b", reason: "reset", executed: "unknown" })
  })

  it("says of a call that was not executed so, and when to try again", () => {
    const error = new BackendError.CallRejected({
      backend: "b",
      state: "CircuitOpen",
      reason: "refused",
      detail: undefined,
      retryAfter: Duration.millis(1500.5)
    })
    const { code, data, message } = ErrorAnswer.ofCall(error)
    assert.strictEqual(code, -32081)
    assert.deepStrictEqual(data, {
      error: "CallRejected",
      backend: "b",
      reason: "refused",
      executed: "no",
      retryAfter: 1501
    })
    assert.include(message, "2s")
  })

  it("does not say that a call was not executed whose answer could not be understood", () => {
    const error = new BackendError.CallFailed({
      backend: "b",
      reason: undefined,
      code: undefined,
      retryAfter: undefined,
      cause: new Error("what a client throws")
    })
    assert.strictEqual(ErrorAnswer.dataOf(ErrorAnswer.ofCall(error))?.executed, "unknown")
  })

  it("has codes that neither JSON-RPC, MCP nor its SDKs use", () => {
    for (const code of Object.values(ErrorAnswer.codes)) {
      assert.isTrue(code < -32042 && code > -32100)
    }
  })

  it("has no word on which a framework would connect and call again, and no text of a server's", () => {
    for (const reason of [undefined, ...FailureReason.all]) {
      for (const error of everyError(reason)) {
        const { message } = ErrorAnswer.ofCall(error)
        assert.isFalse(words.test(message), message)
        assert.notInclude(message, "secret")
      }
    }
    for (const reason of FailureReason.all) {
      const state = ConnectionState.Disconnected.make({ since: 0, nextAttemptAt: 90_000, attempt: 1, reason })
      const { data, message } = ErrorAnswer.ofState("b", state, 30_000)
      assert.isFalse(words.test(message), message)
      assert.strictEqual(ErrorAnswer.dataOf({ data })?.retryAfter, 60_000)
    }
  })

  it("is recognized in what a client of an SDK throws, and nothing else is", () => {
    const thrown = Object.assign(new Error("MCP error"), ErrorAnswer.ofCall(unknown))
    assert.strictEqual(ErrorAnswer.dataOf(thrown)?.error, "OutcomeUnknown")
    for (const other of [undefined, null, "text", new Error("x"), { data: { error: "Other" } }]) {
      assert.isUndefined(ErrorAnswer.dataOf(other))
    }
  })
})
