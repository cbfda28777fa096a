/**
 * Counting servers in a process of their own, so that what they do to connections meets what the client does at the same time:
 * `node serverProgram.ts host ending…`, one server for each way of ending connections. It sends their ports, and what they
 * have counted whenever it is asked.
 */
import { once } from "node:events"
import type { Socket } from "node:net"
import { CountingServer } from "./countingServer.ts"

/** What a server does to a connection when its answer has been handed to the kernel. */
export const endings = {
  /** keeps it open */
  none: () => {},
  /** a FIN at once */
  "closes at once": (socket) => socket.destroySoon(),
  /** a FIN within 5 ms */
  "closes soon": (socket) => void setTimeout(() => socket.destroy(), Math.random() * 5),
  /** an RST within 5 ms */
  "resets soon": (socket) => void setTimeout(() => socket.resetAndDestroy(), Math.random() * 5),
  /** `Connection: close`, and Node does it */
  "says that it closes": () => {},
  /** a FIN at once, while it goes on to read: a request that comes now is executed and cannot be answered */
  "half-closes": (socket) => void socket.end()
} as const satisfies Record<string, (socket: Socket) => void>
export type Ending = keyof typeof endings

/** What it sends: first the ports, then an answer to each message. */
export type Reply =
  | { readonly ports: ReadonlyArray<number> }
  | {
      readonly counted: ReadonlyArray<{ readonly executions: Readonly<Record<string, number>>; readonly ended: number }>
    }

const run = async (host: string, chosen: ReadonlyArray<string>) => {
  const servers = chosen.map((name) => {
    const ending = (Object.keys(endings) as Array<Ending>).find((ending) => ending === name)
    if (ending === undefined) throw new Error(`unknown ending: ${name}`)
    let ended = 0
    const counting = new CountingServer({
      closing: ending === "says that it closes",
      onAnswered: (socket: Socket) => endings[ending](socket)
    })
    counting.server.on("connection", (socket) => socket.on("error", () => {}).on("close", () => ended++))
    return { counting, counted: () => ({ executions: counting.allExecutions(), ended }) }
  })
  await Promise.all(servers.map(({ counting: { server } }) => once(server.listen(0, host), "listening")))
  const say = (reply: Reply) => process.send?.(reply)
  process.on("message", () => say({ counted: servers.map(({ counted }) => counted()) }))
  // Its parent has gone.
  process.on("disconnect", () => process.exit())
  say({
    ports: servers.map(({ counting: { server } }) => {
      const address = server.address()
      return typeof address === "object" && address !== null ? address.port : 0
    })
  })
}

if (import.meta.main) {
  const [host = "127.0.0.1", ...chosen] = process.argv.slice(2)
  await run(host, chosen)
}
