/**
 * Who may ask a server of this package: read from the headers of a request, and from nothing else.
 *
 * Every web page in a browser of this machine can reach a port of loopback, by a name of its own that it made resolve there (DNS rebinding)
 * or from another origin: the `Host` and the `Origin` header tell. Clients of MCP send no `Origin`.
 */
import * as Redacted from "effect/Redacted"
import { createHash, timingSafeEqual } from "node:crypto"

/** What holds for a server. */
export interface Rules {
  /** names and addresses by which it may be asked beside those of loopback, without a port */
  readonly allowedHosts: ReadonlyArray<string>
  /** what every request must carry as a bearer token; `undefined`: nothing */
  readonly token?: Redacted.Redacted<string> | undefined
}

/** What the headers of a request say. */
export interface Asking {
  readonly host: string | undefined
  readonly origin: string | undefined
  readonly authorization: string | undefined
}

/** The status with which it is refused; `undefined` where it may ask. */
export const refusal = (
  { authorization, host, origin }: Asking,
  { allowedHosts, token }: Rules
): 401 | 403 | undefined => {
  const name = nameOf(host)
  if (name === undefined || ![...loopback, ...allowedHosts.map(written)].includes(name)) return 403
  // a page of this server's own has its origin
  if (origin !== undefined && !isOriginOf(origin, host ?? "")) return 403
  return token === undefined || isBearer(authorization, token) ? undefined : 401
}

/** Whether it is the bearer token, found out in a time that tells nothing of it. */
export const isBearer = (authorization: string | undefined, token: Redacted.Redacted<string>): boolean => {
  const [, given] = /^Bearer (\S+)$/i.exec(authorization ?? "") ?? []
  return given !== undefined && timingSafeEqual(digest(given), digest(Redacted.value(token)))
}

const loopback = ["localhost", "127.0.0.1", "[::1]"]

const form = /^(\[[0-9a-f:.]+\]|[^\s:@/?#[\]]+)(?::\d*)?$/

const nameOf = (host: string | undefined): string | undefined => form.exec((host ?? "").toLowerCase())?.[1]

const written = (host: string): string =>
  (host.includes(":") && !host.startsWith("[") ? `[${host}]` : host).toLowerCase()

/** Whether it is the origin of pages that were asked for by that `Host`. */
export const isOriginOf = (origin: string, host: string): boolean =>
  [`http://${host}`, `https://${host}`].some((own) => own.toLowerCase() === origin.toLowerCase())

const digest = (text: string): Buffer => createHash("sha256").update(text).digest()
