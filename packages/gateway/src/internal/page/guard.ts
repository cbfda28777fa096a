/**
 * Who may ask the page and its API: by what name of the server, from what page, and as whom.
 */
import type * as HttpServerRequest from "effect/http/HttpServerRequest"
import type * as Redacted from "effect/Redacted"
import { isBearer, isOriginOf, refusal } from "../endpoint/guard.ts"

/** Whether a request may pass. */
export type Guard = (request: HttpServerRequest.HttpServerRequest) => boolean

/** Requests by a name of the loopback interface, and from pages that were asked for by the same name. */
export const local: Guard = ({ headers }) =>
  refusal({ host: headers["host"], origin: headers["origin"], authorization: undefined }, { allowedHosts: [] }) ===
  undefined

/**
 * Whether no page of another origin asks. `Origin` stands in every request that a page of another origin can make to change something;
 * programs that are no browser send none.
 */
export const isSameOrigin: Guard = ({ headers }) => {
  const { host, origin } = headers
  return origin === undefined || isOriginOf(origin, host ?? "")
}

/** Whether a request carries the token of operators. */
export const isOperator = (request: HttpServerRequest.HttpServerRequest, token: Redacted.Redacted<string>): boolean =>
  isBearer(request.headers["authorization"], token)
