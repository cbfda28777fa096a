/**
 * What apps and transports need. Each module is an entry of its own as well (`@vmcp-keepalive/core/Backend`). What decides behind it
 * is `@vmcp-keepalive/core/engine`, and a server for tests `@vmcp-keepalive/core/testing`.
 */

/** @since 0.1.0 */
export * as Backend from "./Backend.ts"
/** @since 0.1.0 */
export * as BackendError from "./BackendError.ts"
/** @since 0.1.0 */
export * as CallLimit from "./CallLimit.ts"
/** @since 0.1.0 */
export * as Changes from "./Changes.ts"
/** @since 0.1.0 */
export * as ConnectionState from "./ConnectionState.ts"
/** @since 0.1.0 */
export * as Connector from "./Connector.ts"
/** @since 0.1.0 */
export * as Evidence from "./Evidence.ts"
/** @since 0.1.0 */
export * as FailureDetail from "./FailureDetail.ts"
/** @since 0.1.0 */
export * as FailureReason from "./FailureReason.ts"
/** @since 0.1.0 */
export * as Fleet from "./Fleet.ts"
/** @since 0.1.0 */
export * as KeepaliveEvent from "./KeepaliveEvent.ts"
/** @since 0.1.0 */
export * as KeepalivePolicy from "./KeepalivePolicy.ts"
/** @since 0.1.0 */
export * as KeepaliveSchedule from "./KeepaliveSchedule.ts"
/** @since 0.1.0 */
export * as Lists from "./Lists.ts"
/** @since 0.1.0 */
export * as Operable from "./Operable.ts"
/** @since 0.1.0 */
export * as Ownership from "./Ownership.ts"
/** @since 0.1.0 */
export * as Starts from "./Starts.ts"
