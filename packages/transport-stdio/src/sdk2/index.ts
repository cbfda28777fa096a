/** @since 0.1.0 */
export * as StdioConnector from "./StdioConnector.ts"
/** @since 0.1.0 */
export * as StdioTransport from "./StdioTransport.ts"
