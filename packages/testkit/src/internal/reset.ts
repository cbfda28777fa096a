import type { Socket } from "node:net"

/**
 * Ends a connection with a RST. Node fails to reset one that has sent its FIN already (EINVAL), and never closes it
 * then: that one is closed.
 */
export const reset = (socket: Socket): void => {
  if (socket.writableEnded) socket.destroy()
  else socket.resetAndDestroy()
}
