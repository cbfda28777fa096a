/** Tools and a prompt that ask their client something: the SDK asks in the way of the era in which it is called. */
import {
  type CallToolResult,
  inputRequired,
  type InputRequiredResult,
  inputResponse,
  type InputResponseView,
  type McpServer,
  type RequestStateCodec,
  type ServerContext
} from "@modelcontextprotocol/server"
import { nothing, saying, strings, words } from "./contents.ts"

/** Questions by the keys under which they are asked. */
type Questions = NonNullable<Parameters<typeof inputRequired>[0]["inputRequests"]>
type Question = Questions[string]
type Fields = Parameters<typeof inputRequired.elicit>[0]["requestedSchema"] extends infer Form
  ? Extract<Form, { readonly properties: unknown }>["properties"]
  : never

const form = (message: string, properties: Fields, required: ReadonlyArray<string> = Object.keys(properties)) =>
  inputRequired.elicit({ message, requestedSchema: { type: "object", properties, required: [...required] } })

const sampled = (text: string, maxTokens: number) =>
  inputRequired.createMessage({ messages: [{ role: "user", content: words(text) }], maxTokens })

const text = { type: "string" } as const
const name = form("What is your name?", { name: text })

/** Which of them the client has not answered yet. */
const openOf = (questions: Questions, { mcpReq }: ServerContext): Questions =>
  Object.fromEntries(
    Object.entries(questions).filter(([key]) => inputResponse(mcpReq.inputResponses, key).kind === "missing")
  )

/** One question, and what is said of its answer. */
const asks =
  (key: string, question: Question, said: (answer: InputResponseView) => string) =>
  (context: ServerContext): CallToolResult | InputRequiredResult => {
    const answer = inputResponse(context.mcpReq.inputResponses, key)
    return answer.kind === "missing" ? inputRequired({ inputRequests: { [key]: question } }) : saying(said(answer))
  }

const completed = (answer: InputResponseView): string =>
  answer.kind === "elicit"
    ? `Elicitation completed: action=${answer.action}, content=${JSON.stringify(answer.content ?? {})}`
    : "no elicitation"

const answered = (answer: InputResponseView): string => `LLM response: ${JSON.stringify(answer)}`

const defaults: Fields = {
  name: { type: "string", default: "John Doe" },
  age: { type: "integer", default: 30 },
  score: { type: "number", default: 95.5 },
  status: { type: "string", enum: ["active", "inactive", "pending"], default: "active" },
  verified: { type: "boolean", default: true }
}

const titled = [
  { const: "value1", title: "First Option" },
  { const: "value2", title: "Second Option" },
  { const: "value3", title: "Third Option" }
]
const untitled = ["option1", "option2", "option3"]

const enums: Fields = {
  untitledSingle: { type: "string", enum: untitled },
  titledSingle: { type: "string", oneOf: titled },
  legacyEnum: {
    type: "string",
    enum: ["opt1", "opt2", "opt3"],
    enumNames: ["Option One", "Option Two", "Option Three"]
  },
  untitledMulti: { type: "array", items: { type: "string", enum: untitled } },
  titledMulti: { type: "array", items: { anyOf: titled } }
}

export const registerAsking = (server: McpServer, codec: RequestStateCodec<number>): void => {
  /** A tool without arguments that asks. */
  const tool = (
    called: string,
    ask: (
      context: ServerContext
    ) => CallToolResult | InputRequiredResult | Promise<CallToolResult | InputRequiredResult>
  ) =>
    server.registerTool(called, { description: "Asks its client", inputSchema: nothing }, (_, context) => ask(context))

  server.registerTool(
    "test_sampling",
    { description: "Has a text completed", inputSchema: strings("prompt") },
    ({ prompt }, context) => asks("completion", sampled(prompt, 100), answered)(context)
  )
  server.registerTool(
    "test_elicitation",
    { description: "Asks a person", inputSchema: strings("message") },
    ({ message }, context) => asks("response", form(message, { response: text }), completed)(context)
  )
  tool("test_elicitation_sep1034_defaults", asks("fields", form("Review the fields", defaults, []), completed))
  tool("test_elicitation_sep1330_enums", asks("fields", form("Select from the fields", enums, []), completed))
  tool("test_missing_capability", asks("greeting", sampled("Generate a greeting", 50), answered))
  tool("test_streaming_elicitation", asks("user_name", name, completed))

  tool("test_input_required_result_elicitation", asks("user_name", name, completed))
  tool(
    "test_input_required_result_sampling",
    asks("capital_question", sampled("What is the capital of France?", 100), answered)
  )
  tool(
    "test_input_required_result_list_roots",
    asks("client_roots", inputRequired.listRoots(), (answer) => JSON.stringify(answer))
  )

  /** A tool that goes on for as many rounds as there are questions, with a state that nobody else can write. */
  const rounds = (called: string, ...all: ReadonlyArray<Questions>) =>
    tool(called, async (context) => {
      const { mcpReq } = context
      const done = mcpReq.requestState<number>() ?? 0
      const asked = all[done - 1]
      const open = asked === undefined ? {} : openOf(asked, context)
      const next = Object.keys(open).length > 0 ? open : all[done]
      if (next === undefined) return saying("state-ok")
      const round = next === open ? done : done + 1
      return inputRequired({ inputRequests: next, requestState: await codec.mint(round, context) })
    })
  const confirm = { confirm: form("Please confirm", { ok: { type: "boolean" } }) }
  rounds("test_input_required_result_request_state", confirm)
  rounds("test_input_required_result_tampered_state", confirm)
  rounds(
    "test_input_required_result_multi_round",
    { step1: form("Step 1: What is your name?", { name: text }) },
    { step2: form("Step 2: What is your favorite color?", { color: text }) }
  )
  rounds("test_input_required_result_multiple_inputs", {
    user_name: name,
    greeting: sampled("Generate a greeting", 50),
    client_roots: inputRequired.listRoots()
  })

  tool("test_input_required_result_capabilities", (context) => {
    const { elicitation, sampling } = server.server.getClientCapabilities() ?? {}
    const questions = openOf(
      {
        ...(elicitation === undefined ? {} : { user_name: name }),
        ...(sampling === undefined ? {} : { greeting: sampled("Generate a greeting", 50) })
      },
      context
    )
    return Object.keys(questions).length === 0 ? saying("asked") : inputRequired({ inputRequests: questions })
  })

  server.registerPrompt(
    "test_input_required_result_prompt",
    { description: "Asks what it is to be about" },
    (context) => {
      const answer = inputResponse(context.mcpReq.inputResponses, "user_context")
      if (answer.kind !== "missing") return { messages: [{ role: "user", content: words(completed(answer)) }] }
      const question = form("What context should the prompt use?", { context: text })
      return inputRequired({ inputRequests: { user_context: question } })
    }
  )
}
