/** Elements are made, never parsed: what comes from elsewhere is text, whatever stands in it. */

/** The element of that id, which stands in the page. */
export const byId = (id) => document.getElementById(id)

/** An element with attributes and children; attributes that are undefined, null or false are left out. */
export const el = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag)
  set(element, attributes)
  element.append(...children)
  return element
}

const svgNamespace = "http://www.w3.org/2000/svg"

/** The same for SVG. */
export const svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS(svgNamespace, tag)
  set(element, attributes)
  element.append(...children)
  return element
}

const set = (element, attributes) => {
  for (const [name, value] of Object.entries(attributes))
    if (value !== undefined && value !== null && value !== false)
      element.setAttribute(name, value === true ? "" : String(value))
}

/** The shape of a state: one for each, so that none is told by colour alone. */
export const shape = (state) =>
  svg("svg", { class: "shape", width: 13, height: 13, "aria-hidden": "true" }, svg("use", { href: `#shape-${state}` }))

/** Sets a text, and touches nothing where it is the same already. */
export const write = (element, text) => {
  if (element.textContent !== text) element.textContent = text
}
