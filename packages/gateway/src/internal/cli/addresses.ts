/** Where a gateway that has started is reached, told once. */
import * as Redacted from "effect/Redacted"
import * as Listening from "./listening.ts"
import type { State } from "./state.ts"
import type { Style } from "./style.ts"

export interface Addresses {
  readonly host: string
  /** the real one; `undefined` where there is only stdio */
  readonly port: number | undefined
  /** the metrics' own, where they have one */
  readonly metrics: string | undefined
}

/** Where this machine reaches it, whatever it listens on. */
const reached = (host: string): string => (host === "0.0.0.0" ? "127.0.0.1" : host === "::" ? "::1" : host)

/** Of the page, of the MCP endpoint and of the metrics. */
export const urlsOf = ({ host, metrics, port }: Addresses) => {
  const base = port === undefined ? undefined : `http://${Listening.authority(reached(host), port)}`
  return {
    page: base === undefined ? undefined : `${base}/`,
    mcp: base === undefined ? undefined : `${base}/mcp`,
    metrics: metrics ?? (base === undefined ? undefined : `${base}/metrics`)
  }
}

/** For machines: one JSON object. */
export const json = (addresses: Addresses, { tokenFile }: State): string =>
  JSON.stringify({ ...urlsOf(addresses), operatorTokenFile: tokenFile })

/**
 * For people, a line each. The operator's token is in the address of the page where a terminal shows it, and nowhere else: what goes into a file or
 * to a collector of logs is read by others.
 */
export const lines = (
  addresses: Addresses,
  { operatorToken, tokenFile }: State,
  style: Style,
  isTerminal: boolean
): ReadonlyArray<string> => {
  const { mcp, metrics, page } = urlsOf(addresses)
  const line = (name: string, url: string | undefined) => (url === undefined ? [] : [`${style.bold(name)}${url}`])
  const withToken = page !== undefined && isTerminal ? `${page}#token=${Redacted.value(operatorToken)}` : page
  return [
    ...line("page             ", withToken),
    ...line("MCP endpoint     ", mcp),
    ...line("metrics          ", metrics),
    ...(page === undefined || isTerminal ? [] : line("operator token   ", tokenFile ?? "that of VMCP_OPERATOR_TOKEN"))
  ]
}
