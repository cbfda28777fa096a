/** An error answer as it is thrown. */
import type * as Message from "../Message.ts"

/**
 * The server answered a request with an error.
 *
 * @since 0.1.0
 */
export class RpcError extends Error {
  override readonly name = "RpcError"
  readonly code: number
  readonly data: unknown

  constructor({ code, data, message }: Message.ErrorAnswer["error"]) {
    super(message)
    this.code = code
    this.data = data
  }
}

/**
 * Whether it is one, also of another copy of this package that the process has loaded.
 *
 * @since 0.1.0
 */
export const isRpcError = (value: unknown): value is RpcError =>
  value instanceof Error && value.name === "RpcError" && "code" in value && typeof value.code === "number"
