/** @since 0.1.0 */
export * as StdioPeerConnector from "./StdioPeerConnector.ts"
/** @since 0.1.0 */
export * as StdioPeerTransport from "./StdioPeerTransport.ts"
/** @since 0.1.0 */
export { Peer } from "@vmcp-keepalive/sdk-client/peer"
