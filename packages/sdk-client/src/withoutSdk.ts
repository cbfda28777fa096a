/** @since 0.1.0 */
export * as Ask from "./Ask.ts"
/** @since 0.1.0 */
export * as ClientKind from "./ClientKind.ts"
/** @since 0.1.0 */
export * as ClientTransport from "./ClientTransport.ts"
/** @since 0.1.0 */
export * as ForwardTransport from "./ForwardTransport.ts"
/** @since 0.1.0 */
export * as IncomingRequests from "./IncomingRequests.ts"
/** @since 0.1.0 */
export * as Limits from "./Limits.ts"
/** @since 0.1.0 */
export * as Listening from "./Listening.ts"
/** @since 0.1.0 */
export * as ListenStream from "./ListenStream.ts"
/** @since 0.1.0 */
export * as Message from "./Message.ts"
/** @since 0.1.0 */
export * as Peer from "./Peer.ts"
/** @since 0.1.0 */
export * as Reopening from "./Reopening.ts"
/** @since 0.1.0 */
export * as RequestRecord from "./RequestRecord.ts"
/** @since 0.1.0 */
export * as Requests from "./Requests.ts"
/** @since 0.1.0 */
export * as Subscriptions from "./Subscriptions.ts"
