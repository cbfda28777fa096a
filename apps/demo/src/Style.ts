/** How text is stressed: with colors, or not at all. */
import { styleText } from "node:util"

export interface Style {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly warn: (text: string) => string
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

/** With colors where the stream is a terminal, and the environment does not say otherwise (NO_COLOR, FORCE_COLOR). */
export const of = (stream: NodeJS.WriteStream): Style => {
  const stressed = (format: "green" | "red" | "yellow" | "bold" | "dim") => (text: string) =>
    styleText(format, text, { stream })
  return {
    good: stressed("green"),
    bad: stressed("red"),
    warn: stressed("yellow"),
    bold: stressed("bold"),
    dim: stressed("dim")
  }
}
