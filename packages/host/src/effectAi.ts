/** @since 0.1.0 */
export * as KeptMcpClient from "./KeptMcpClient.ts"
/** @since 0.1.0 */
export * as KeptToolkit from "./KeptToolkit.ts"
