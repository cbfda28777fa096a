/**
 * Redirects: followed within the origin only, and only where the request stays what it is, so that no credential and no session
 * id reaches another origin, and no call is made a second time.
 */
import type { Head, HttpRequest } from "./sender.ts"

/** How many are followed, one after the other. */
export const most = 5

/** Where a response sends its request, or `undefined` where it is not to be followed. */
export const target = (request: HttpRequest, head: Head, start: URL): URL | undefined => {
  // 303 says that a POST was processed, and 301 and 302 are taken for it by many: they answer it, and are no answer of MCP.
  const keepsRequest = head.status === 307 || head.status === 308
  if (!keepsRequest && (request.method === "POST" || !isRedirect(head.status))) return undefined
  const to = URL.parse(head.header("location") ?? "", request.url)
  if (head.header("location") === undefined || to === null || !isWithinOrigin(start, to)) return undefined
  to.hash = ""
  return to
}

const isRedirect = (status: number): boolean => status === 301 || status === 302 || status === 303

/** The same origin, or the `https:` of it on the default ports. */
export const isWithinOrigin = (from: URL, to: URL): boolean =>
  to.username === "" &&
  to.password === "" &&
  (from.origin === to.origin ||
    (from.protocol === "http:" &&
      to.protocol === "https:" &&
      from.hostname === to.hostname &&
      from.port === "" &&
      to.port === ""))
