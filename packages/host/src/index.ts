/** @since 0.1.0 */
export * as ErrorAnswer from "./ErrorAnswer.ts"
/** @since 0.1.0 */
export { keepAlive, type Kept, type Options as KeepAliveOptions } from "./KeepAlive.ts"
/** @since 0.1.0 */
export * as KeptPeer from "./KeptPeer.ts"
/** @since 0.1.0 */
export * as KeptTransport from "./KeptTransport.ts"
/** @since 0.1.0 */
export * as SharedPeer from "./SharedPeer.ts"
