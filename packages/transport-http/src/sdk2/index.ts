/** @since 0.1.0 */
export * as HttpConnector from "./HttpConnector.ts"
/** @since 0.1.0 */
export * as HttpTransport from "./HttpTransport.ts"
