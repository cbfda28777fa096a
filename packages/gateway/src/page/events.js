/** The stream of events of the gateway. It ends with the connection; what was missed comes as a snapshot. */

/** after how long a silence the connection is taken for dead: the gateway says something every ten seconds */
const silence = 25_000
/** how long until another try, where the browser gives up by itself */
const pause = 2000

/** Follows it for as long as the page is open. */
export const follow = ({ changes, cluster, found, lost, snapshot }) => {
  let source
  let watchdog
  let isFound = false

  const heard = () => {
    clearTimeout(watchdog)
    watchdog = setTimeout(again, silence)
  }
  const again = () => {
    gone()
    source.close()
    setTimeout(open, pause)
  }
  const gone = () => {
    clearTimeout(watchdog)
    if (isFound) lost()
    isFound = false
  }
  const open = () => {
    source = new EventSource("/api/events")
    source.addEventListener("snapshot", ({ data }) => {
      heard()
      snapshot(JSON.parse(data))
      isFound = true
      found()
    })
    source.addEventListener("changes", ({ data }) => {
      heard()
      changes(JSON.parse(data))
    })
    source.addEventListener("cluster", ({ data }) => {
      heard()
      cluster(JSON.parse(data))
    })
    source.addEventListener("beat", heard)
    source.addEventListener("error", () => {
      // Closed: refused with a status, after which a browser does not try again.
      if (source.readyState === EventSource.CLOSED) again()
      else gone()
    })
    heard()
  }
  open()
}
