/**
 * Backends of a fleet that are reached over HTTP: what their specs say, beside what only code can say of all of them.
 */
import { type Connector, Fleet } from "@vmcp-keepalive/core"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import { type HeaderRecord, type HeaderSource, reveal } from "./session/headers.ts"
import type * as Settings from "./settings.ts"

/** How one backend is reached, as data. */
export interface HttpSettings {
  readonly kind: "http"
  /** The MCP endpoint, `http:` or `https:`, without user name and password: those belong into `headers`. */
  readonly url: string | Redacted.Redacted<string>
  /** Sent with every request to the endpoint, and to no other origin. Default: none. */
  readonly headers?: Readonly<Record<string, string | Redacted.Redacted<string>>> | undefined
}

/** What holds for every backend of the fleet that is reached over HTTP, and data cannot say. */
export interface Options<E = never, R = never> extends Omit<Settings.Options, "url" | "headers"> {
  /**
   * What is sent beside the headers of the settings, and in place of those of the same name: credentials that change while the
   * backend lives. An effect is evaluated for every session and again when the server rejects the credentials; if it fails,
   * so does the attempt, with reason `auth`. Default: nothing.
   */
  readonly headers?: ((settings: HttpSettings) => HeaderSource<E, R>) | undefined
}

/** A transport for settings of the kind `http`; `make` gets them as options of a connector. */
export const layer = <Client, E, R>(
  { headers, ...options }: Options<E, R>,
  make: (options: Settings.Options<E, R>, settings: HttpSettings) => Connector.Connector<Client, R>
): Layer.Layer<Fleet.Transport<Client>, never, R> =>
  Fleet.layerTransport("http", {
    is: isHttp,
    make: (settings) =>
      make(
        { ...options, url: reveal(settings.url), headers: laid(settings.headers ?? {}, headers?.(settings) ?? {}) },
        settings
      )
  })

const Text = Schema.Union([Schema.String, Schema.Redacted(Schema.String)])

const isHttp: (settings: unknown) => settings is HttpSettings = Schema.is(
  Schema.Struct({
    kind: Schema.Literal("http"),
    url: Text,
    headers: Schema.optional(Schema.Record(Schema.String, Text))
  })
)

const laid = <E, R>(own: HeaderRecord, more: HeaderSource<E, R>): HeaderSource<E, R> =>
  Effect.isEffect(more) ? Effect.map(more, (headers) => overlay(own, headers)) : overlay(own, more)

/** One value for a name, whatever its case. */
const overlay = (own: HeaderRecord, more: HeaderRecord): HeaderRecord => {
  const replaced = new Set(Object.keys(more).map((name) => name.toLowerCase()))
  return { ...Object.fromEntries(Object.entries(own).filter(([name]) => !replaced.has(name.toLowerCase()))), ...more }
}
