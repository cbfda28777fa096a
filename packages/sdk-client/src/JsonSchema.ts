/**
 * Checks what a tool returns against the schema that its server gave: for a client of `@modelcontextprotocol/sdk` 1.x.
 *
 * Schema and value both come from the server, and checking one against the other can take any time: a `pattern` of six letters
 * 22 s for a value of 28, `uniqueItems` the square of their number. So it gets {@link longest}. Nothing is compiled before it is
 * needed: the SDK's own validator costs 17 KB for each client, and a few milliseconds for each tool that is listed.
 */
import { createContext, Script } from "node:vm"
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/sdk/validation/ajv"
import type {
  JsonSchemaType,
  JsonSchemaValidator,
  jsonSchemaValidator
} from "@modelcontextprotocol/sdk/validation/types.js"
import { isObject } from "./Message.ts"

/**
 * How long checking one value may take, in milliseconds: for that long this process does nothing else.
 *
 * @since 0.1.0
 */
export const longest = 500

/**
 * A validator for one client: schemas are looked up by their `$id`, so that clients of different servers share none.
 *
 * @since 0.1.0
 */
export const validator = (): jsonSchemaValidator => {
  let ajv: AjvJsonSchemaValidator | undefined
  return {
    getValidator: <T>(schema: JsonSchemaType): JsonSchemaValidator<T> => {
      let validate: JsonSchemaValidator<T> | undefined
      return (input) => {
        try {
          return within(longest, () =>
            (validate ??= (ajv ??= new AjvJsonSchemaValidator()).getValidator<T>(schema))(input)
          )
        } catch (error) {
          return {
            valid: false,
            data: undefined,
            errorMessage: isTimeout(error) ? tookTooLong : "the schema is not valid"
          }
        }
      }
    }
  }
}

const tookTooLong = `checking it took longer than ${longest} ms`

// It is an `Error` of the context in which the time ran out, not of this one.
const isTimeout = (error: unknown): boolean => isObject(error) && error["code"] === "ERR_SCRIPT_EXECUTION_TIMEOUT"

/** Made when it is first needed: a context costs a megabyte. One is enough, since nothing in here waits. */
let bounded: ((time: number, run: () => unknown) => unknown) | undefined

const makeBounded = () => {
  const slot: { run: (() => unknown) | undefined } = { run: undefined }
  const context = createContext(slot)
  const script = new Script("run()")
  return (timeout: number, run: () => unknown): unknown => {
    slot.run = run
    try {
      return script.runInContext(context, { timeout })
    } finally {
      slot.run = undefined
    }
  }
}

/** Runs something, and throws when it takes longer than that: the one way to end what does not give up the processor. */
const within = <A>(time: number, run: () => A): A => {
  let result: { readonly value: A } | undefined
  bounded ??= makeBounded()
  bounded(time, () => {
    result = { value: run() }
  })
  if (result === undefined) throw new Error("nothing was run")
  return result.value
}
