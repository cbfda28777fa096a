/**
 * Every error that a connection can end with, at every step, through every way of sending: a call that may have reached the
 * server is never made again, and one that cannot have is made on the next connection, once. The server counts.
 */
import { assert, describe, it } from "@effect/vitest"
import { Certificate } from "@vmcp-keepalive/testkit"
import { Effect, Fiber } from "effect"
import type { Reaction } from "./countingServer.ts"
import * as SocketFaults from "./socketFaults.ts"
import { senders } from "./senders.ts"
import { keep, type Kept, listen, none, type Said, type Sender, trust } from "./support.ts"

const codes = [
  ...["ECONNREFUSED", "ECONNRESET", "EPIPE", "ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN"],
  ...["EACCES", "ECONNABORTED", "EPROTO", "EMFILE", "ENOTFOUND", "EAI_AGAIN", "EADDRNOTAVAIL", "ENOBUFS"],
  ...["ERR_SSL_DECRYPTION_FAILED_OR_BAD_RECORD_MAC", "ERR_SSL_WRONG_VERSION_NUMBER", "ERR_TLS_CERT_ALTNAME_INVALID"],
  ...["CERT_HAS_EXPIRED", "DEPTH_ZERO_SELF_SIGNED_CERT"],
  ...["UND_ERR_SOCKET", "UND_ERR_CONNECT_TIMEOUT", "UND_ERR_HEADERS_TIMEOUT"]
]

/** The system call that fails with the code while a connection is made. */
const connecting = (code: string) => (code === "ENOTFOUND" || code === "EAI_AGAIN" ? "getaddrinfo" : "connect")

interface Subject {
  readonly kept: Kept
  readonly server: Effect.Success<ReturnType<typeof listen>>
  readonly faults: SocketFaults.SocketFaults
}

/** Each code in turn; all that deviates from what is expected is seen at once. */
const everyCode = <E>(
  subject: Subject,
  row: (code: string) => Effect.Effect<string, E>,
  expected: (code: string) => ReadonlyArray<string>,
  applies: (code: string) => boolean = () => true
) =>
  Effect.gen(function* () {
    const wrong: Array<string> = []
    for (const code of codes.filter(applies)) {
      const observed = yield* row(code)
      if (!expected(code).includes(observed)) wrong.push(`${code}: ${observed}`)
      if (!(yield* subject.kept.well)) return assert.fail(`${code}: the backend is not well again; ${wrong.join("; ")}`)
    }
    none(wrong)
  })

const told = (said: Said, executions: number) => `${said}, executed ${executions}`

const unsent = "ok, executed 1"
const dispatched = "OutcomeUnknown, executed 1"

/** The call is executed, and then its connection fails before the answer is complete. */
const afterExecution =
  ({ faults, kept, server: { counting } }: Subject, name: string, syscall: string, begin?: Reaction) =>
  (code: string) =>
    Effect.gen(function* () {
      const id = `${name} ${code}`
      let raised = false
      counting.react(id, (arrival) => {
        const { answer, execute, nth, request } = arrival
        execute()
        if (nth > 1) return answer()
        const { remotePort } = request.socket
        const strike = () => {
          raised = faults.raise(remotePort, SocketFaults.errorOf(code, syscall))
        }
        if (begin === undefined) return strike()
        // The client has what is sent of the answer, and has had a turn to see it.
        const before = faults.bytesRead(remotePort)
        begin(arrival)
        const look = () => {
          if (faults.bytesRead(remotePort) > before) setImmediate(strike)
          else setImmediate(look)
        }
        look()
      })
      const said = yield* kept.call(id)
      return raised ? told(said, counting.executions(id)) : `${said}, and the fault never struck`
    })

/** The call's connection is not established: once, or until the session has been given up for it. */
const beforeExecution =
  (
    { faults, kept, server: { counting, port } }: Subject,
    opening: SocketFaults.Opening,
    lasting: boolean,
    error: (code: string) => Error
  ) =>
  (code: string) =>
    Effect.gen(function* () {
      const id = `${opening} ${lasting} ${code}`
      const trap = faults.arm(port, opening, () => error(code), lasting ? Infinity : 1)
      const call = yield* Effect.forkChild(kept.call(id), { startImmediately: true })
      if (lasting) {
        const lost = yield* kept.reaches(({ _tag }) => _tag !== "Connected")
        if (!lost) return "the session outlives the fault"
      }
      if (lasting) trap.disarm()
      const said = yield* Fiber.join(call)
      trap.disarm()
      return trap.struck() > 0 ? told(said, counting.executions(id)) : `${said}, and the fault never struck`
    })

const certificate = Effect.runSync(Certificate.make())

const subject = Effect.fnUntraced(function* (sender: Sender, secure: boolean, closing: boolean) {
  const faults = yield* SocketFaults.install
  if (secure) yield* trust(certificate)
  const server = yield* listen({ secure: secure ? certificate : undefined, closing })
  const kept = yield* keep({ url: `${secure ? "https" : "http"}://localhost:${server.port}/mcp`, sender })
  const all: Subject = { faults, server, kept }
  return all
})

/** An answer whose head and first bytes are sent. */
const half: Reaction = ({ response }) => {
  response.writeHead(200, { "content-type": "application/json" }).write(" ")
}
/** The same as a stream of events. */
const halfStream: Reaction = ({ response }) => {
  response.writeHead(200, { "content-type": "text/event-stream" }).write(": working\n\n")
}

describe.each(senders)("a call through $name", (sender) => {
  /**
   * A sender that does not show its socket names the error only. Where an error of the same name can also come after the
   * first byte, the call may be unknown to it; where its own code or system call proves the step, it may not.
   */
  const beforeFirstByte = (proven: (code: string) => boolean) => (code: string) =>
    sender.native || proven(code) ? [unsent] : [unsent, "OutcomeUnknown, executed 0"]
  const isProvenByItself = (code: string) => /^E(?!RR_)/.test(code) || code === "UND_ERR_CONNECT_TIMEOUT"
  /** undici gives it to established connections alone: to one that is being made it answers by trying again for ever. */
  const canComeFirst = (code: string) => code !== "UND_ERR_SOCKET"
  /**
   * Of an error that only ever comes before the first byte, others than the connector's own sender may rely on its name. A name
   * that does not fit ends a handshake and nothing else: undici, Node's own too, asserts that.
   */
  const canComeLater = (code: string) =>
    code !== "ERR_TLS_CERT_ALTNAME_INVALID" && (sender.native || code !== "UND_ERR_CONNECT_TIMEOUT")

  for (const lasting of [false, true]) {
    const how = lasting ? "until its session is given up" : "once"
    it.live(`whose connection cannot be made, ${how}, is made once, when it can`, () =>
      Effect.gen(function* () {
        const all = yield* subject(sender, false, true)
        const error = (code: string) => SocketFaults.errorOf(code, connecting(code))
        const row = beforeExecution(all, "connect", lasting, error)
        yield* everyCode(all, row, beforeFirstByte(isProvenByItself), canComeFirst)
      }).pipe(Effect.scoped)
    )

    it.live(`whose TLS handshake is not finished, ${how}, is made once, when it can`, () =>
      Effect.gen(function* () {
        const all = yield* subject(sender, true, true)
        const error = (code: string) => SocketFaults.errorOf(code, "read")
        const proven = (code: string) => code === "UND_ERR_CONNECT_TIMEOUT"
        const row = beforeExecution(all, "handshake", lasting, error)
        yield* everyCode(all, row, beforeFirstByte(proven), canComeFirst)
      }).pipe(Effect.scoped)
    )
  }

  it.live("whose server refuses at every address of its name is made once, when it can", () =>
    Effect.gen(function* () {
      const all = yield* subject(sender, false, true)
      const row = beforeExecution(all, "connect", true, SocketFaults.aggregateOf)
      const refused = ["ECONNREFUSED", "ETIMEDOUT", "EHOSTUNREACH"]
      yield* everyCode(
        all,
        row,
        () => [unsent],
        (code) => refused.includes(code)
      )
    }).pipe(Effect.scoped)
  )

  const later = [
    ["fails in a read", false, "read", undefined],
    ["fails in a write", false, "write", undefined],
    ["fails in a read, in the middle of a JSON answer", false, "read", half],
    ["fails in a read, in the middle of a stream", false, "read", halfStream],
    ["fails in a read, with TLS", true, "read", undefined],
    ["fails in a write, with TLS", true, "write", undefined],
    ["fails in a read, with TLS, in the middle of a stream", true, "read", halfStream]
  ] as const
  for (const [name, secure, syscall, begin] of later) {
    it.live(`that was executed, and whose connection ${name}, is not made again, and its outcome is unknown`, () =>
      Effect.gen(function* () {
        const all = yield* subject(sender, secure, false)
        yield* everyCode(all, afterExecution(all, name, syscall, begin), () => [dispatched], canComeLater)
      }).pipe(Effect.scoped)
    )
  }
})
