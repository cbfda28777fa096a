import { aiSdk } from "../frameworks/aiSdk.ts"
import { effectAi } from "../frameworks/effectAi.ts"
import { genkit } from "../frameworks/genkit.ts"
import { langchain } from "../frameworks/langchain.ts"
import { llamaindex } from "../frameworks/llamaindex.ts"
import { mastra } from "../frameworks/mastra.ts"
import { openaiAgents, openaiAgentsByUrl } from "../frameworks/openaiAgents.ts"
import { sdk1 } from "../frameworks/sdk1.ts"
import { sdk2 } from "../frameworks/sdk2.ts"
import { tanstack } from "../frameworks/tanstack.ts"
import { urlOnly } from "../frameworks/urlOnly.ts"
import type { Framework } from "./framework.ts"

export const frameworks: ReadonlyArray<Framework> = [sdk1, sdk2, aiSdk, langchain, openaiAgents, mastra, effectAi]

/** Those too that are seen through this library only, and a second door of one that has two. */
export const doors: ReadonlyArray<Framework> = [...frameworks, openaiAgentsByUrl, tanstack, genkit, llamaindex, urlOnly]
