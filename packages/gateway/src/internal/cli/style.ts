/** How text is stressed: in colors, or not at all. */
export interface Style {
  readonly good: (text: string) => string
  readonly bad: (text: string) => string
  readonly warn: (text: string) => string
  readonly bold: (text: string) => string
  readonly dim: (text: string) => string
}

const ansi = (code: number) => (text: string) => `\u001B[${code}m${text}\u001B[0m`
const asIs = (text: string) => text

/** Colors where they are wanted, or none. */
export const make = (colors: boolean): Style =>
  colors
    ? { good: ansi(32), bad: ansi(31), warn: ansi(33), bold: ansi(1), dim: ansi(2) }
    : { good: asIs, bad: asIs, warn: asIs, bold: asIs, dim: asIs }

/** Whether colors are wanted: on a terminal, unless NO_COLOR says no (no-color.org). */
export const isWanted = (stream: { readonly isTTY?: boolean | undefined }): boolean =>
  stream.isTTY === true && (process.env["NO_COLOR"] ?? "") === ""

/** What a terminal would take for an instruction: control characters, and those that change the direction of text. */
const controls = /[\p{Cc}\p{Zl}\p{Zp}\u061C\u200E\u200F\u202A-\u202E\u2066-\u2069]/gu

/** Text of others, such as a name in a file or an answer, which a terminal only shows. */
export const plain = (text: string): string => text.replaceAll(controls, "\uFFFD")
