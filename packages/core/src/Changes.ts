/**
 * What a server tells of its own accord: that one of its lists has changed, or one of its resources. `Backend.listen` hears it
 * across sessions.
 */
import type { Kind } from "./Lists.ts"

/**
 * What to hear of. What is left out is not heard of.
 *
 * @since 0.1.0
 */
export interface Filter {
  /** changes of the list of tools; default false */
  readonly tools?: boolean | undefined
  /** changes of the list of prompts; default false */
  readonly prompts?: boolean | undefined
  /** changes of the list of resources, its templates included; default false */
  readonly resources?: boolean | undefined
  /** changes of the resources with these URIs, and of what the server counts to them (MCP: sub-resources); default none */
  readonly uris?: ReadonlyArray<string> | undefined
}

/**
 * Something has changed, or may have while nobody heard of it.
 *
 * @since 0.1.0
 */
export type Change = ListChange | ResourceChange

/**
 * A list is not what it was (MCP: `notifications/tools/list_changed`, …).
 *
 * @since 0.1.0
 */
export interface ListChange {
  readonly _tag: "List"
  readonly kind: Kind
}

/**
 * A resource is not what it was (MCP: `notifications/resources/updated`).
 *
 * @since 0.1.0
 */
export interface ResourceChange {
  readonly _tag: "Resource"
  /** of the resource, which may be one that belongs to the one that was asked for */
  readonly uri: string
}

/**
 * That a list has changed.
 *
 * @since 0.1.0
 */
export const list = (kind: Kind): ListChange => ({ _tag: "List", kind })

/**
 * That a resource has changed.
 *
 * @since 0.1.0
 */
export const resource = (uri: string): ResourceChange => ({ _tag: "Resource", uri })

/**
 * A change of everything that a filter has: what is told after a gap.
 *
 * @since 0.1.0
 */
export const all = ({ prompts, resources, tools, uris = [] }: Filter): ReadonlyArray<Change> => [
  ...(tools === true ? [list("tools")] : []),
  ...(prompts === true ? [list("prompts")] : []),
  ...(resources === true ? [list("resources")] : []),
  ...uris.map(resource)
]
