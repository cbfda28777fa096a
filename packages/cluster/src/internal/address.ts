/**
 * Addresses of processes, as they are written: `host:port`.
 */
import * as Option from "effect/Option"

export interface Address {
  readonly host: string
  readonly port: number
}

/** Reads one; an IPv6 address stands in brackets, which are not part of the host. */
export const parse = (text: string): Option.Option<Address> => {
  const [, bracketed, plain, digits] = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(text) ?? []
  const host = bracketed ?? plain
  const port = Number(digits)
  return host === undefined || port < 1 || port > 65_535 ? Option.none() : Option.some({ host, port })
}

/** Writes one, as it is read. */
export const format = ({ host, port }: Address): string => `${host.includes(":") ? `[${host}]` : host}:${port}`

/** Whether no other machine reaches this one by that host: loopback, or the address that stands for all of a machine's own. */
export const isOfOneMachine = (host: string): boolean =>
  /^(localhost|.*\.localhost|127(\.\d+){3}|0(\.0+){3}|(0*:)+0*[01]?|::ffff:127(\.\d+){3})$/i.test(host)
