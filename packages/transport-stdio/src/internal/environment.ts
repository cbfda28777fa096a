/**
 * The part of this process's environment that a child may have: what the MCP SDKs take for safe, after the example of sudo.
 */

const names: ReadonlyArray<string> =
  process.platform === "win32"
    ? [
        "APPDATA",
        "HOMEDRIVE",
        "HOMEPATH",
        "LOCALAPPDATA",
        "PATH",
        "PROCESSOR_ARCHITECTURE",
        "PROGRAMFILES",
        "SYSTEMDRIVE",
        "SYSTEMROOT",
        "TEMP",
        "USERNAME",
        "USERPROFILE"
      ]
    : ["HOME", "LOGNAME", "PATH", "SHELL", "TERM", "USER"]

/** As it is now. A value that bash would take for a function is left out. */
export const safe = (): Record<string, string> => {
  const found: Record<string, string> = {}
  for (const name of names) {
    const value = process.env[name]
    if (value !== undefined && !value.startsWith("()")) found[name] = value
  }
  return found
}
