// What the scripts share: named cases, run by `SCRIPT HOST PORT VERSION CASE`. No case sleeps for
// a fixed time: it waits for something to happen, with a limit.
'use strict'

// Milliseconds that any one event may take.
const LIMIT = 10000

// A queue whose reader waits.
class Queue {
  constructor () {
    this.items = []
    this.readers = []
  }

  put (item) {
    const reader = this.readers.shift()
    if (reader) reader(item)
    else this.items.push(item)
  }

  get length () {
    return this.items.length
  }

  get (what) {
    if (this.items.length > 0) return Promise.resolve(this.items.shift())
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`waited in vain for ${what}`)), LIMIT)
      this.readers.push((item) => {
        clearTimeout(timer)
        resolve(item)
      })
    })
  }
}

class Env {
  constructor (host, port, version, name) {
    // `ws://HOST` is a host over WebSocket, a host alone one over TCP.
    const [address, protocol] = host.split('://').reverse()
    Object.assign(this, { host: address, protocol: protocol ?? 'mqtt' })
    Object.assign(this, { port: Number(port), version: Number(version), name })
    this.v5 = this.version === 5
  }

  topic (tail) {
    return `e2e/js${process.pid}/${this.name}/${tail}`
  }

  clientId (tail) {
    return `js${process.pid}-${this.name}-${tail}`
  }
}

async function run (cases) {
  const [host, port, version, name] = process.argv.slice(2)
  const one = cases[name]
  if (!one) {
    console.error(`there is no case ${name}; the cases are ${Object.keys(cases).join(' ')}`)
    process.exit(1)
  }
  try {
    await one(new Env(host, port, version, name))
    process.exit(0)
  } catch (error) {
    console.error(`${name} (version ${version}) failed:`, error)
    process.exit(1)
  }
}

module.exports = { LIMIT, Queue, run }
