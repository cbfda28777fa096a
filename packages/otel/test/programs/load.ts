/**
 * Everything that is bad for a server with one page, at once and for a while: readers that do not read, requests that do not
 * end, and requests that do not wait for answers. Who is cut off comes back after 3 seconds. Says when all of it has begun, and what it did.
 */
import * as net from "node:net"

const url = new URL(process.argv[2] ?? "")
const readers = 300
const halves = 1500
const pipelined = 5000
const seconds = Number(process.argv[3])

const line = `GET ${url.pathname} HTTP/1.1\r\nhost: ${url.host}\r\n`
const whole = `${line}\r\n`
const opened = { readers: 0, halves: 0, pipelines: 0 }
let over = false

const open = (kind: keyof typeof opened, text: string, reads: boolean) => {
  if (over) return
  opened[kind]++
  const socket = net.connect(Number(url.port), url.hostname, () => {
    socket.write(text)
    if (reads) socket.resume()
  })
  socket.on("error", () => {})
  socket.on("close", () => setTimeout(open, 3000, kind, text, reads))
}

for (let count = 0; count < Math.max(readers, halves); count++) {
  if (count < readers) open("readers", whole, false)
  if (count < halves) open("halves", line, true)
}
open("pipelines", whole.repeat(pipelined), false)
process.send?.({ begun: true })
setTimeout(() => {
  over = true
  process.send?.(opened, () => process.exit())
}, seconds * 1000)
process.on("disconnect", () => process.exit())
