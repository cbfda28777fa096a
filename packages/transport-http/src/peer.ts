/** @since 0.1.0 */
export * as HttpPeerConnector from "./HttpPeerConnector.ts"
/** @since 0.1.0 */
export * as HttpPeerTransport from "./HttpPeerTransport.ts"
/** @since 0.1.0 */
export { Peer } from "@vmcp-keepalive/sdk-client/peer"
