export * as KeepaliveLog from "./KeepaliveLog.ts"
export * as KeepaliveMetrics from "./KeepaliveMetrics.ts"
