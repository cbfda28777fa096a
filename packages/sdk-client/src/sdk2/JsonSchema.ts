/**
 * Checks what a tool returns against the schema that its server gave, within bounds: for a client of
 * `@modelcontextprotocol/client` 2.x. A server's `pattern` or `uniqueItems` could else take any time.
 */
import type { JsonSchemaType, jsonSchemaValidator } from "@modelcontextprotocol/client"
import { AjvJsonSchemaValidator } from "@modelcontextprotocol/client/validators/ajv"
import * as BoundedSchema from "../internal/boundedSchema.ts"

/**
 * How long checking one value may take, in milliseconds: for that long this process does nothing else.
 *
 * @since 0.1.0
 */
export const longest: number = BoundedSchema.longest

/**
 * A validator for one client: schemas are looked up by their `$id`, so that clients of different servers share none.
 *
 * @since 0.1.0
 */
export const validator = (): jsonSchemaValidator => {
  let ajv: AjvJsonSchemaValidator | undefined
  return {
    getValidator: <T>(schema: JsonSchemaType) =>
      BoundedSchema.check(() => (ajv ??= new AjvJsonSchemaValidator()).getValidator<T>(schema))
  }
}
