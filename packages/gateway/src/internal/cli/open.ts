/** Opens a page in the user's browser. */
import { spawn } from "node:child_process"

const commands: Partial<Record<NodeJS.Platform, readonly [string, ReadonlyArray<string>]>> = {
  darwin: ["open", []],
  // the empty text is the title of a window, which `start` takes from its first argument in quotes
  win32: ["cmd", ["/c", "start", '""']]
}

/** As the platform does it, as well as it can: nothing is told where there is no browser. */
export const open = (url: string): void => {
  const [command, args] = commands[process.platform] ?? ["xdg-open", []]
  const child = spawn(command, [...args, url], { stdio: "ignore", detached: true })
  child.on("error", () => {})
  child.unref()
}
