/** @since 0.1.0 */
export * as KeepaliveLog from "./KeepaliveLog.ts"
/** @since 0.1.0 */
export * as KeepaliveMetrics from "./KeepaliveMetrics.ts"
