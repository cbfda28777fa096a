export * as ScriptedServer from "./ScriptedServer.ts"
