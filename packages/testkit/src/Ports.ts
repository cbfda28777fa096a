/**
 * Ports for servers that are started by a test, each of its own. One that the system says is free may be anybody's by the time that a process listens there: an
 * outgoing connection's, or that of another test's server, which then answers in its place. So a process takes a block of ports which the system gives
 * to nobody by itself, holds it by listening at its first port, and goes through the others in turn.
 */
import * as Effect from "effect/Effect"
import * as Net from "node:net"

/** Below the ports of outgoing connections (32768 on Linux). */
const from = 10_000
const blocks = 220
const ports = 100

/** Resolves with the server that listens there, or with nothing where the port is taken. */
const listening = (port: number): Promise<Net.Server | undefined> =>
  new Promise((resolve) => {
    const server = Net.createServer()
    server.once("error", () => resolve(undefined))
    server.listen(port, "127.0.0.1", () => resolve(server))
  })

const held = await (async (): Promise<number> => {
  for (let tries = 0; tries < blocks; tries++) {
    const first = from + ((process.pid + tries) % blocks) * ports
    const server = await listening(first)
    // it is held for as long as this process lives, and keeps it from nothing
    if (server !== undefined) return (server.unref(), first)
  }
  throw new Error("Every block of ports is taken")
})()

let last = 0

/** The next one on which nobody listens. */
export const free: Effect.Effect<number> = Effect.promise(async () => {
  for (let tries = 0; tries < ports; tries++) {
    last = (last % (ports - 1)) + 1
    const port = held + last
    const server = await listening(port)
    if (server === undefined) continue
    await new Promise((resolve) => server.close(resolve))
    return port
  }
  throw new Error("Every port is taken")
})
