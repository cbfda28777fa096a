/** Its prompts, its resources, and what completes their arguments. */
import { fromJsonSchema, type McpServer, ResourceTemplate } from "@modelcontextprotocol/server"
import { embedded, image, png, strings, words } from "./contents.ts"

const user = <Content>(content: Content) => ({ role: "user" as const, content })

export const registerPrompts = (server: McpServer): void => {
  server.registerPrompt("test_simple_prompt", { description: "A text" }, () => ({
    messages: [user(words("This is a simple prompt for testing."))]
  }))
  server.registerPrompt(
    "test_prompt_with_arguments",
    { description: "Takes two arguments", argsSchema: strings("arg1", "arg2") },
    ({ arg1, arg2 }) => ({ messages: [user(words(`Prompt with arguments: arg1='${arg1}', arg2='${arg2}'`))] })
  )
  server.registerPrompt(
    "test_prompt_with_embedded_resource",
    { description: "Embeds a resource", argsSchema: strings("resourceUri") },
    ({ resourceUri }) => ({
      messages: [
        user(embedded(resourceUri, "Embedded resource content for testing.")),
        user(words("Please process the embedded resource above."))
      ]
    })
  )
  server.registerPrompt("test_prompt_with_image", { description: "Shows an image" }, () => ({
    messages: [user(image), user(words("Please analyze the image above."))]
  }))
  server.server.setRequestHandler("completion/complete", ({ params: { argument } }) => {
    const values = ["paris", "park", "party"].filter((value) => value.startsWith(argument.value))
    return { completion: { values, total: values.length, hasMore: false } }
  })
}

export const registerResources = (server: McpServer): void => {
  const text = { description: "A text", mimeType: "text/plain" }
  server.registerResource("static-text", "test://static-text", text, ({ href }) => ({
    contents: [{ uri: href, mimeType: "text/plain", text: "This is the content of the static text resource." }]
  }))
  server.registerResource(
    "static-binary",
    "test://static-binary",
    { description: "An image", mimeType: "image/png" },
    ({ href }) => ({ contents: [{ uri: href, mimeType: "image/png", blob: png }] })
  )
  server.registerResource("watched", "test://watched-resource", text, ({ href }) => ({
    contents: [{ uri: href, mimeType: "text/plain", text: "Watched resource content" }]
  }))
  server.registerResource(
    "template",
    new ResourceTemplate("test://template/{id}/data", { list: undefined }),
    { description: "Data by id", mimeType: "application/json" },
    ({ href }, { id }) => ({
      contents: [
        {
          uri: href,
          mimeType: "application/json",
          text: JSON.stringify({ id, templateTest: true, data: `Data for ID: ${String(id)}` })
        }
      ]
    })
  )
  // The server keeps no subscriptions: nothing of it is updated.
  server.server.setRequestHandler("resources/subscribe", () => ({}))
  server.server.setRequestHandler("resources/unsubscribe", () => ({}))
}

/** What comes and goes with each change of a list. */
export const registerChanging = (server: McpServer) => ({
  tools: server.registerTool(
    "test_changing_tool",
    { description: "Comes and goes", inputSchema: fromJsonSchema({ type: "object" }) },
    () => ({ content: [words("here")] })
  ),
  prompts: server.registerPrompt("test_changing_prompt", { description: "Comes and goes" }, () => ({
    messages: [user(words("here"))]
  }))
})
