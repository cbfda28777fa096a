/**
 * By which names a server may be asked. A web page in a browser of this machine can reach loopback under a name of its own
 * (DNS rebinding), and would read what it finds there. The `Host` header then has that name.
 */
import { BlockList, isIPv6 } from "node:net"

export interface Options {
  /** where the server listens, as an IP address */
  readonly address: string
  /** where it was told to */
  readonly host: string
  /** further names and addresses, without a port; where there are none, only a server on loopback minds its names */
  readonly allowedHosts?: ReadonlyArray<string> | undefined
}

const loopback = new BlockList()
loopback.addSubnet("127.0.0.0", 8)
loopback.addAddress("::1", "ipv6")

/** A host as it stands in a `Host` header, with a port or without. */
const form = /^(\[[0-9a-f:.]+\]|[^\s:@/?#[\]]+)(?::\d*)?$/
const written = (host: string) => (isIPv6(host) ? `[${host}]` : host).toLowerCase()

/** Whether it is a name or an address without a port. */
export const isHost = (host: string) => form.exec(written(host))?.[1] === written(host)

/** Whether a `Host` header names the server. */
export const isAllowed = (header: string | undefined, { address, allowedHosts, host }: Options): boolean => {
  if (allowedHosts === undefined && !loopback.check(address, isIPv6(address) ? "ipv6" : "ipv4")) return true
  const [, named] = form.exec((header ?? "").toLowerCase()) ?? []
  return ["localhost", "127.0.0.1", "::1", host, ...(allowedHosts ?? [])].some((name) => written(name) === named)
}
