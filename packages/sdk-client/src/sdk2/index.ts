export * from "../withoutSdk.ts"
/** @since 0.1.0 */
export * as CallView from "./CallView.ts"
/** @since 0.1.0 */
export * as JsonSchema from "./JsonSchema.ts"
