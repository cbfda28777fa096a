/**
 * What a server lists: its tools, prompts and resources, as a backend knows them.
 *
 * A backend reads each on every new session, and again when the server says that it has changed. It keeps names and fingerprints,
 * and no definition: who wants that asks the server. What it knows stays readable while there is no session, and every
 * difference is told once, as the event `ListChanged`.
 */
import * as Schema from "effect/Schema"
import * as Fingerprint from "./internal/fingerprint.ts"

/**
 * What a list is of. `resources` are the server's resources and its resource templates, which come and go together in MCP
 * (`notifications/resources/list_changed`).
 *
 * @since 0.1.0
 */
export type Kind = typeof Kind.Type
/** @since 0.1.0 */
export const Kind = Schema.Literals(["tools", "prompts", "resources"])

/**
 * Every kind, in the order in which they are read.
 *
 * @since 0.1.0
 */
export const kinds: ReadonlyArray<Kind> = Kind.literals

/**
 * One entry of a list.
 *
 * @since 0.1.0
 */
export interface Entry {
  /**
   * The name of a tool or prompt, the URI of a resource, the URI template of a resource template. Of one that is longer than 1024
   * UTF-16 code units the first 1000 are kept, and of a URI neither its query nor what stands before its host, which may be credentials:
   * with a fingerprint of all of it behind them.
   */
  readonly name: string
  /** of the whole definition, as {@link fingerprint} has it */
  readonly fingerprint: number
  /** whether the server lists it no longer: it stays for the policy's `removalGrace`, and is then told to be removed */
  readonly removed: boolean
}

/**
 * What a backend knows of its server's lists, each sorted by name; empty where nothing was read yet, or the server has none.
 *
 * @since 0.1.0
 */
export type Lists = { readonly [Of in Kind]: ReadonlyArray<Entry> }

/**
 * A fingerprint of JSON of any kind, such as the definition of a tool: whatever differs but the order of the fields of an object
 * differs in it, down to 128 levels, with a chance of one in 2^53 for an accident. It is fast and no cryptographic hash: who writes definitions can make
 * two that have the same.
 *
 * @since 0.1.0
 */
export const fingerprint: (json: unknown) => number = Fingerprint.of
