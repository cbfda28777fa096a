/** Where `serve` listens: whether it may, and can. */
import * as Effect from "effect/Effect"
import { createServer } from "node:net"
import { plain } from "./style.ts"
import { fail, type Told } from "./told.ts"

/** An address that only this machine reaches. */
export const isLoopback = (host: string): boolean =>
  host === "localhost" || host === "::1" || /^127(\.\d{1,3}){3}$/.test(host)

/** As it stands in a URL. */
export const authority = (host: string, port: number): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** What on the command line says where to listen. */
export interface Flags {
  readonly port: string
  readonly host: string
}

/** Whether something can listen there now; fails with a line that says why not. The port of 0 is any. */
export const check = (host: string, port: number, flags: Flags): Effect.Effect<void, Told> =>
  Effect.callback<void, Told>((resume) => {
    const server = createServer()
    server.once("error", (error) => resume(fail(reasonOf(error, host, port, flags))))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resume(Effect.void)))
  })

const reasonOf = (error: Error, host: string, port: number, flags: Flags): string => {
  const where = plain(authority(host, port))
  switch ("code" in error ? error.code : undefined) {
    case "EADDRINUSE":
      return `${where} is in use: choose another port with ${flags.port}${flags.port === flags.host ? "" : " (0 is any free one)"}`
    case "EACCES":
    case "EPERM":
      return `this user may not listen on ${where}: choose a port above 1023 with ${flags.port}`
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
    case "EAI_AGAIN":
      return `${plain(host)} is no address of this machine: choose another with ${flags.host}`
    default:
      return `it is not possible to listen on ${where}`
  }
}
