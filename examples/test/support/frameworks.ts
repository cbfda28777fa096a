import { aiSdk } from "../frameworks/aiSdk.ts"
import { effectAi } from "../frameworks/effectAi.ts"
import { langchain } from "../frameworks/langchain.ts"
import { mastra } from "../frameworks/mastra.ts"
import { openaiAgents, openaiAgentsByUrl } from "../frameworks/openaiAgents.ts"
import { sdk1 } from "../frameworks/sdk1.ts"
import { sdk2 } from "../frameworks/sdk2.ts"
import type { Framework } from "./framework.ts"

export const frameworks: ReadonlyArray<Framework> = [sdk1, sdk2, aiSdk, langchain, openaiAgents, mastra, effectAi]

/** With this library some have two doors. */
export const doors: ReadonlyArray<Framework> = [...frameworks, openaiAgentsByUrl]
