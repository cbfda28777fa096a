export * as HttpPeerConnector from "./HttpPeerConnector.ts"
export { Peer } from "@vmcp-keepalive/sdk-client/peer"
