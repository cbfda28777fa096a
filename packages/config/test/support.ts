import { NodeServices } from "@effect/platform-node"
import { type ConfigFileError, KeepaliveConfig } from "@vmcp-keepalive/config"
import { ConfigProvider, Effect, Result } from "effect"

/** Everything that stands here is a secret: no error and no JSON may have it. */
export const environment = {
  TOKEN: "PLANTED-SECRET-1",
  GITHUB_TOKEN: "PLANTED-SECRET-2",
  API_TOKEN: "PLANTED-SECRET-3",
  HOME: "/PLANTED-SECRET-4",
  PATH: "/PLANTED-SECRET-5",
  EMPTY: ""
}

export const secret = "SECRET-IN-FILE"

export const withEnvironment = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.provideService(effect, ConfigProvider.ConfigProvider, ConfigProvider.fromEnvRecord(environment))

export type Read = Result.Result<KeepaliveConfig.Loaded, ConfigFileError.ConfigFileError>

export const parse = (file: unknown, options?: KeepaliveConfig.ParseOptions): Promise<Read> =>
  KeepaliveConfig.parse(typeof file === "string" ? file : JSON.stringify(file, null, 2), options).pipe(
    withEnvironment,
    Effect.result,
    Effect.runPromise
  )

export const load = (path: string): Promise<Read> =>
  KeepaliveConfig.load(path).pipe(withEnvironment, Effect.provide(NodeServices.layer), Effect.result, Effect.runPromise)

/** What was read; a mistake fails the test with its text. */
export const loaded = (read: Read): KeepaliveConfig.Loaded => {
  if (Result.isFailure(read)) throw read.failure
  return read.success
}

/** The mistakes, a line each as people see them, without the name of the file. */
export const mistakes = (read: Read): ReadonlyArray<string> => {
  if (Result.isSuccess(read)) return []
  const { file, message } = read.failure
  return message.split("\n").map((line) => line.slice(file.length + 1).trim())
}
