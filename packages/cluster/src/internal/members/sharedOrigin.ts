/**
 * A connector whose attempts arrive where those of the other processes arrive, too: its origin has room for this process's part.
 */
import type { Connector } from "@vmcp-keepalive/core"

/** Every part of the port, also those that a connector may leave out. */
type Whole<Client> = { [Key in keyof Required<Connector.Connector<Client>>]: Connector.Connector<Client>[Key] }

/**
 * `share`: the part of this process, as of now. An origin with a limit of its own is left alone: that is what one machine has room for, and not what
 * all share.
 */
export const withSharedOrigin = <Client>(
  inner: Connector.Connector<Client>,
  share: () => number
): Connector.Connector<Client> => {
  const { origin } = inner
  if (origin === undefined || origin.limit !== undefined) return inner
  const shared: Whole<Client> = {
    kind: inner.kind,
    exclusive: inner.exclusive,
    connectTimeout: inner.connectTimeout,
    issues: inner.issues,
    supportsOptions: inner.supportsOptions,
    origin: {
      key: origin.key,
      get limit() {
        return share()
      }
    },
    open: (host) => inner.open(host)
  }
  return shared
}
