export * as HttpConnector from "./HttpConnector.ts"
