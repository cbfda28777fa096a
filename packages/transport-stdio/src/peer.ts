export * as StdioPeerConnector from "./StdioPeerConnector.ts"
export { Peer } from "@vmcp-keepalive/sdk-client/peer"
