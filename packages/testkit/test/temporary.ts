/** The temporary directories that this process made and that are still there. */
import { readdirSync } from "node:fs"
import { tmpdir } from "node:os"
import { mark } from "../src/internal/temporary.ts"

export const temporary = (): ReadonlyArray<string> => readdirSync(tmpdir()).filter((name) => name.startsWith(mark))
