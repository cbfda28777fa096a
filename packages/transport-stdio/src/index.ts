export * as StdioConnector from "./StdioConnector.ts"
