/**
 * What stands between a host and several servers is made of, beside `KeptPeer`.
 */

/** @since 0.1.0 */
export * as Delivery from "./internal/delivery.ts"
/** @since 0.1.0 */
export * as Held from "./internal/held.ts"
/** @since 0.1.0 */
export * as HostMessage from "./internal/hostMessage.ts"
/** @since 0.1.0 */
export * as Listing from "./internal/listing.ts"
/** @since 0.1.0 */
export * as ServerRequests from "./internal/serverRequests.ts"
