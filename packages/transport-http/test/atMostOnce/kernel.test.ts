/**
 * The same on a real kernel: a client and a server in network namespaces of their own. The server gets the call and executes it;
 * its answer and its ACKs are lost, until the client's kernel gives the connection up.
 *
 * Needs root, `unshare` and `nsenter` (Debian's util-linux), `ip` (iproute2), `iptables`, and a writable /proc/sys.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber, Schedule } from "effect"
import { type ChildProcess, spawnSync } from "node:child_process"
import { ask, hear, start } from "./children.ts"
import type { Command, Word } from "./kernelSubject.ts"
import type { Reply } from "./serverProgram.ts"

// Debian's are in sbin, which is not on everybody's PATH.
const environment = { PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` }

/** Retransmissions until the kernel gives up: about 3 s in all, where the default is 15, for a quarter of an hour. */
const retries = "echo 3 > /proc/sys/net/ipv4/tcp_retries2"
const lose = "iptables -A INPUT -p tcp -j DROP"
const unreachable = "iptables -A OUTPUT -p tcp -j REJECT --reject-with icmp-host-unreachable"
const heal = "iptables -F"

/** Whether all of it works here: tried in a namespace that ends with the shell. */
const trial = spawnSync(
  "unshare",
  [
    "--net",
    "sh",
    "-ec",
    `ip link add name veth0 type veth peer name veth1; ${retries}; ${lose}; ${unreachable}; ${heal}; nsenter --version`
  ],
  { env: environment, encoding: "utf8" }
)
const impossible =
  trial.status === 0
    ? undefined
    : (trial.error?.message ?? trial.stderr.trim().split("\n").at(-1) ?? "").replaceAll(/\s+/g, " ")

/** Runs a command line in the network namespace of a process. */
const within = (process: ChildProcess, line: string) =>
  Effect.sync(() => {
    const { status, stderr } = spawnSync("nsenter", ["--net", "--target", String(process.pid), "sh", "-ec", line], {
      env: environment,
      encoding: "utf8"
    })
    assert.strictEqual(status, 0, `${line}: ${stderr}`)
  })

const isPorts = (reply: Reply) => "ports" in reply
const isCounted = (reply: Reply) => "counted" in reply
const isState = (word: Word) => "state" in word
const isSaid = (word: Word) => "said" in word
const isAny = (word: Word): word is Word => word !== undefined

describe("a call whose answer is lost by the network", () => {
  for (const [how, rule, code] of [
    ["the kernel says ETIMEDOUT", undefined, "ETIMEDOUT"],
    ["the host became unreachable and the kernel says EHOSTUNREACH", unreachable, "EHOSTUNREACH"]
  ] as const)
    it.live.skipIf(impossible !== undefined)(
      `is executed once and its outcome is unknown: ${how}${impossible === undefined ? "" : ` (no network namespaces here: ${impossible})`}`,
      () =>
        Effect.gen(function* () {
          const server = yield* start("serverProgram.ts", ["0.0.0.0", "none"], ["unshare", "--net"])
          const { ports } = yield* hear(server, isPorts)
          const client = yield* start("kernelSubject.ts", [], ["unshare", "--net"])
          // Both ends are in the namespaces: nothing of it is seen from the machine's own, and it all ends with them.
          yield* within(server, `ip link add name veth0 type veth peer name veth1 netns ${client.pid}`)
          yield* within(server, "ip address add 192.0.2.1/30 dev veth0; ip link set veth0 up")
          yield* within(
            client,
            `ip address add 192.0.2.2/30 dev veth1; ip link set veth1 up; ip link set lo up; ${retries}`
          )
          const url: Command = { url: `http://192.0.2.1:${ports[0]}/mcp` }
          assert.deepStrictEqual(yield* ask(client, url, isState), { state: "Connected" })

          yield* within(client, lose)
          const call: Command = { call: "lost" }
          const end = yield* Effect.forkChild(
            // The network comes back as soon as the client knows, so that a call which is made again arrives.
            ask(client, call, isAny).pipe(
              Effect.tap(() => within(client, heal)),
              Effect.flatMap((word) => ("said" in word ? Effect.succeed(word) : hear(client, isSaid)))
            ),
            { startImmediately: true }
          )
          const executed = Effect.map(ask(server, {}, isCounted), ({ counted }) => counted[0]?.executions["lost"] ?? 0)
          yield* executed.pipe(
            Effect.repeat({ until: (times: number) => times > 0, schedule: Schedule.spaced("20 millis") }),
            Effect.timeout("1 minute"),
            Effect.orDie
          )
          if (rule !== undefined) yield* within(client, rule)

          const { met, said } = yield* Fiber.join(end)
          assert.include(met, code, "how the client's sockets ended")
          assert.strictEqual(`${said}, executed ${yield* executed}`, "OutcomeUnknown, executed 1")
        }).pipe(Effect.scoped),
      // two processes start, which takes a loaded machine longer than all the rest
      180_000
    )
})
