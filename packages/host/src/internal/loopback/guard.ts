/**
 * Who may ask at a loopback port: other users of the machine, and every page in a browser on it, can reach one.
 *
 * The path is what protects it: it cannot be guessed, and works with all that takes a URL. The names that the request gives keep
 * pages out whose name was made to resolve here (DNS rebinding), also where the path became known.
 */
import { timingSafeEqual } from "node:crypto"
import type { IncomingMessage } from "node:http"

/** What is known of the port. */
export interface Own {
  /** the path, which is the secret */
  readonly path: string
  readonly port: number
}

/** The status that a request is refused with, or `undefined` where it may ask. */
export const refusal = (
  { headers, url = "" }: Pick<IncomingMessage, "headers" | "url">,
  own: Own
): number | undefined => {
  const hosts = ["127.0.0.1", "localhost", "[::1]"].map((name) => `${name}:${own.port}`)
  const { host = "", origin } = headers
  if (!hosts.includes(host.toLowerCase())) return 403
  // Clients send none, browsers do.
  if (origin !== undefined && !hosts.some((host) => origin.toLowerCase() === `http://${host}`)) return 403
  return isSame(url, own.path) ? undefined : 404
}

const isSame = (a: string, b: string): boolean => {
  const [left, right] = [Buffer.from(a), Buffer.from(b)]
  return left.length === right.length && timingSafeEqual(left, right)
}
