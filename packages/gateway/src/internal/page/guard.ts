/**
 * Who may ask at all. A page of another site must not reach a server on this machine, whatever its name resolves to (DNS rebinding), so
 * the name by which it is asked for has to be one of its own, and the origin of the page that asks too.
 */
import type * as HttpServerRequest from "effect/http/HttpServerRequest"

/** Whether a request may pass. */
export type Guard = (request: HttpServerRequest.HttpServerRequest) => boolean

const loopback = /^(localhost|127\.0\.0\.1|\[::1\])(:\d+)?$/i

/** Requests by a name of the loopback interface, and from pages that were asked for by the same name. */
export const local: Guard = ({ headers }) => {
  const { host, origin } = headers
  return (
    host !== undefined &&
    loopback.test(host) &&
    (origin === undefined || origin === `http://${host}` || origin === `https://${host}`)
  )
}

/**
 * Whether no page of another origin asks. `Origin` stands in every request that a page of another origin can make to change something;
 * programs that are no browser send none.
 */
export const isSameOrigin: Guard = ({ headers }) => {
  const { host, origin } = headers
  return origin === undefined || origin === `http://${host}` || origin === `https://${host}`
}
