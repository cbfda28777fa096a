/**
 * The transports for what a file says, loaded while the program runs: where a package is not installed, that is one line for who needs it,
 * and nothing for who does not.
 */
import { Fleet } from "@vmcp-keepalive/core"
import type { Peer } from "@vmcp-keepalive/sdk-client/peer"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** Of each kind of settings, the package that has its transport. */
const packages = { http: "@vmcp-keepalive/transport-http", stdio: "@vmcp-keepalive/transport-stdio" } as const

type Kind = keyof typeof packages
type Transport = Layer.Layer<Fleet.Transport<Peer.Peer>>

/** What is installed, and what to install. */
export interface Transports {
  readonly layer: Transport
  /** a line for each package that servers of these kinds need, and that is not installed */
  readonly missing: (kinds: Iterable<string>) => ReadonlyArray<string>
}

/**
 * Two seconds is all that a host may wait for, on a machine that is busy too: children have 300 ms to end with their stdin, 400 ms after SIGTERM, and
 * are then killed. They are watched over, so that they also end where this process is killed.
 */
const stdio = {
  shutdown: { end: "300 millis", term: "400 millis", kill: "300 millis" },
  watchdog: process.platform !== "win32"
} as const

const load: Readonly<Record<Kind, () => Promise<Transport>>> = {
  http: async () => (await import("@vmcp-keepalive/transport-http/peer")).HttpPeerTransport.layer(),
  stdio: async () => (await import("@vmcp-keepalive/transport-stdio/peer")).StdioPeerTransport.layer(stdio)
}

/** Loads what is installed. */
export const make: Effect.Effect<Transports> = Effect.gen(function* () {
  const loaded = yield* Effect.forEach(
    ["http", "stdio"] as const,
    (kind) =>
      Effect.map(
        Effect.promise(() => loadedOf(kind)),
        (layer) => ({ kind, layer })
      ),
    { concurrency: "unbounded" }
  )
  const absent = loaded.flatMap(({ kind, layer }) => (layer === undefined ? [kind] : []))
  const [first = Layer.empty, ...others] = loaded.flatMap(({ layer }) => layer ?? [])
  return {
    // a kind that is not there is a mistake of the first spec that needs it: `make` of a fleet asks for any
    layer: Layer.mergeAll(none, first, ...others),
    missing: (kinds) => {
      const wanted = new Set(kinds)
      return absent
        .filter((kind) => wanted.has(kind))
        .map(
          (kind) => `servers of the type ${kind} need a package that is not installed: npm install ${packages[kind]}`
        )
    }
  }
})

/** No settings are of this kind. */
const none = Fleet.layerTransport<{ readonly kind: "none" }, Peer.Peer>("none", {
  is: (_settings): _settings is { readonly kind: "none" } => false,
  make: () => {
    throw new Error("no settings are of this kind")
  }
})

/** `undefined` where the package, or one that it needs, is not installed. */
const loadedOf = async (kind: Kind): Promise<Transport | undefined> => {
  try {
    return await load[kind]()
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ERR_MODULE_NOT_FOUND") return undefined
    throw error
  }
}
