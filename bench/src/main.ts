// A stub until there is something to measure.
console.log("nothing is measured yet")
