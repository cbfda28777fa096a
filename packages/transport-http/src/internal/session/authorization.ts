/**
 * OAuth, as a session needs it: the port behind which the SDK's `auth()` does its work.
 */
import type { Head } from "../http/sender.ts"

/** See the module. */
export interface Authorization {
  /** The access token, where there is one. */
  readonly token: () => Promise<string | undefined>
  /** The server has rejected it, or wants more of it: what it said is needed to get another one. */
  readonly challenged: (head: Head) => void
  /** Gets another one, if what the server said calls for it; true where there is one that differs. */
  readonly refresh: () => Promise<boolean>
}
