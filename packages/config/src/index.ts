/** @since 0.1.0 */
export * as BackendSpec from "./BackendSpec.ts"
/** @since 0.1.0 */
export * as ConfigFileError from "./ConfigFileError.ts"
/** @since 0.1.0 */
export * as EditorSchema from "./EditorSchema.ts"
/** @since 0.1.0 */
export * as Import from "./Import.ts"
/** @since 0.1.0 */
export * as KeepaliveConfig from "./KeepaliveConfig.ts"
