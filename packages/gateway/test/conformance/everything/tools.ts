/** Tools that answer without asking anything. */
import { fromJsonSchema, type McpServer } from "@modelcontextprotocol/server"
import { setTimeout as pause } from "node:timers/promises"
import { audio, embedded, image, nothing, saying, schemaOf2020, words } from "./contents.ts"

/** What a call changes for everybody. */
export interface Changing {
  readonly change: (list: "tools" | "prompts") => void
}

/** The SDK compares the argument with the header `Mcp-Param-Region`. */
const inHeader = { "x-mcp-header": "Region" }
const headed = fromJsonSchema<{ readonly region: string }>({
  type: "object",
  properties: { region: { type: "string", ...inHeader } },
  required: ["region"]
})

/** What a host shows beside a name. */
const of = (description: string) => ({ description, inputSchema: nothing })

export const registerTools = (server: McpServer, { change }: Changing): void => {
  server.registerTool("test_simple_text", of("A text"), () => saying("This is a simple text response for testing."))
  server.registerTool("test_image_content", of("An image"), () => ({ content: [image] }))
  server.registerTool("test_audio_content", of("A sound"), () => ({ content: [audio] }))
  server.registerTool("test_embedded_resource", of("A resource"), () => ({
    content: [embedded("test://embedded-resource", "This is an embedded resource content.")]
  }))
  server.registerTool("test_multiple_content_types", of("A text, an image and a resource"), () => ({
    content: [
      words("Multiple content types test:"),
      image,
      embedded("test://mixed-content-resource", JSON.stringify({ test: "data", value: 123 }), "application/json")
    ]
  }))
  server.registerTool("test_error_handling", of("Fails"), () => {
    throw new Error("This tool intentionally returns an error for testing")
  })

  // The scenarios want a pause between what is told, so that it cannot come in one piece.
  server.registerTool("test_tool_with_logging", of("Logs three times"), async (_, { mcpReq }) => {
    for (const data of ["Tool execution started", "Tool processing data", "Tool execution completed"]) {
      await mcpReq.notify({ method: "notifications/message", params: { level: "info", data } })
      await pause(50)
    }
    return saying("Tool with logging executed successfully")
  })
  server.registerTool("test_tool_with_progress", of("Tells how far it is"), async (_, { mcpReq }) => {
    const progressToken = mcpReq._meta?.progressToken
    for (const progress of progressToken === undefined ? [] : [0, 50, 100]) {
      await mcpReq.notify({ method: "notifications/progress", params: { progressToken, progress, total: 100 } })
      await pause(50)
    }
    return saying(String(progressToken))
  })
  server.registerTool("test_logging_tool", of("Logs where the request allows it"), async (_, { mcpReq }) => {
    await mcpReq.log("info", "a line")
    return saying("logged")
  })
  server.registerTool("test_reconnection", of("Closes the stream of the call"), async (_, { http }) => {
    http?.closeSSE?.()
    await pause(100)
    return saying("Reconnection test completed successfully")
  })

  server.registerTool(
    "json_schema_2020_12_tool",
    { description: "Tool with JSON Schema 2020-12 features", inputSchema: schemaOf2020 },
    () => saying("valid")
  )
  server.registerTool(
    "test_custom_header",
    { description: "Has an argument that is in a header too", inputSchema: headed },
    ({ region }) => saying(region)
  )
  server.registerTool("test_trigger_tool_change", of("Changes the list of tools"), () => {
    change("tools")
    return saying("changed")
  })
  server.registerTool("test_trigger_prompt_change", of("Changes the list of prompts"), () => {
    change("prompts")
    return saying("changed")
  })
}
