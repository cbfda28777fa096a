/** Commands, and the token that they need. It comes in the fragment of the link, which is sent to no server, and stays in this tab. */
import { byId } from "./dom.js"

const key = "vmcp-keepalive operator token"

/** Takes the token out of the address, so that it is in no history and no copied link. */
export const takeFromAddress = () => {
  const token = new URLSearchParams(location.hash.slice(1)).get("token")
  if (token === null) return
  sessionStorage.setItem(key, token)
  history.replaceState(null, "", location.pathname + location.search)
}

/** Whether there is a token. */
export const isKnown = () => sessionStorage.getItem(key) !== null

/** What a request for operators carries. */
export const headers = () => {
  const token = sessionStorage.getItem(key)
  return token === null ? {} : { authorization: `Bearer ${token}` }
}

/** Asks for the token; whether one was given. */
export const ask = (problem = "") => {
  const dialog = byId("token")
  const form = dialog.querySelector("form")
  const input = byId("token-input")
  byId("token-error").textContent = problem
  input.value = ""
  dialog.showModal()
  return new Promise((resolve) => {
    const submit = (event) => {
      event.preventDefault()
      sessionStorage.setItem(key, input.value.trim())
      dialog.close("given")
    }
    const cancel = () => dialog.close()
    const button = dialog.querySelector("button[value=cancel]")
    form.addEventListener("submit", submit)
    button.addEventListener("click", cancel)
    dialog.addEventListener(
      "close",
      () => {
        form.removeEventListener("submit", submit)
        button.removeEventListener("click", cancel)
        resolve(dialog.returnValue === "given")
        dialog.returnValue = ""
      },
      { once: true }
    )
  })
}

/** Orders something; what became of it, in words, or undefined where the person changed their mind. */
export const order = async (id, command) => {
  if (!isKnown() && !(await ask())) return undefined
  for (;;) {
    let response
    try {
      response = await fetch(`/api/backends/${encodeURIComponent(id)}/${encodeURIComponent(command)}`, {
        method: "POST",
        headers: headers()
      })
    } catch {
      return `${id}: ${command} did not reach the gateway`
    }
    if (response.ok) return `${id}: ${command} done`
    if (response.status === 401) {
      sessionStorage.removeItem(key)
      if (!(await ask("The gateway does not know this token."))) return undefined
      continue
    }
    if (response.status === 409) return `${id}: ${command} is not possible. ${(await response.json()).error}`
    return `${id}: ${command} failed (${response.status})`
  }
}
