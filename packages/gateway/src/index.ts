/** @since 0.1.0 */
export * as Endpoint from "./Endpoint.ts"
/** @since 0.1.0 */
export * as Gateway from "./Gateway.ts"
/** @since 0.1.0 */
export * as Page from "./Page.ts"
/** @since 0.1.0 */
export * as Stdio from "./Stdio.ts"
