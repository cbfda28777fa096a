/** @since 0.1.0 */
export * as ScriptedServer from "./ScriptedServer.ts"
