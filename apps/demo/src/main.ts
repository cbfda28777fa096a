// A stub until the gateway is written: it shows that the command works.
console.log(JSON.stringify({ arguments: process.argv.slice(2), node: process.version }))
