/**
 * What a client concludes from the answer to `server/discover`. Which answers it gets to see, and when a server that is silent is taken
 * for one that does not know the question, is the transport's to decide, the same for every client.
 */
import * as Message from "../../Message.ts"
import { isRpcError } from "../rpcError.ts"

/** A server of the modern era, with what it said of itself; one of the legacy era; one that speaks no revision that is known here. */
export type Verdict =
  | { readonly _tag: "Modern"; readonly discovered: Message.Result }
  | { readonly _tag: "Legacy" }
  | { readonly _tag: "Foreign" }

/** The server does not speak the revision in which it was asked. */
const unsupportedVersion = -32022

/** Reads a result. */
export const ofResult = (result: Message.Result): Verdict => {
  const supported = result["supportedVersions"]
  if (!Array.isArray(supported) || !Message.isObject(result["capabilities"])) return { _tag: "Legacy" }
  return supported.includes(Message.modernRevision) ? { _tag: "Modern", discovered: result } : ofVersions(supported)
}

/** Reads an error; `undefined` where it is no answer of the server's. */
export const ofError = (error: unknown): Verdict | undefined => {
  if (!isRpcError(error)) return undefined
  const { code, data } = error
  const supported = code === unsupportedVersion && Message.isObject(data) ? data["supported"] : undefined
  return Array.isArray(supported) ? ofVersions(supported) : { _tag: "Legacy" }
}

/** One that speaks the modern era alone is not asked in the words of the legacy one. */
const ofVersions = (supported: ReadonlyArray<unknown>): Verdict => {
  const isModern = (version: unknown) => typeof version === "string" && Message.isModern(version)
  return supported.some((version) => isModern(version)) ? { _tag: "Foreign" } : { _tag: "Legacy" }
}
