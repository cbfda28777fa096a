/** @since 0.1.0 */
export * as ClusterBackends from "./ClusterBackends.ts"
/** @since 0.1.0 */
export * as ClusterError from "./ClusterError.ts"
/** @since 0.1.0 */
export * as ClusterOptions from "./ClusterOptions.ts"
/** @since 0.1.0 */
export * as SharedKey from "./SharedKey.ts"
