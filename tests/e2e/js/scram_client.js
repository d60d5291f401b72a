// MQTT.js with enhanced authentication, whose messages scramp makes and checks:
// `SCRIPT PORT PYTHON SCRAM_SCRIPT USER PASSWORD [NEXT_PASSWORD]`. Prints `connected`, with another
// password `authenticated again` once that is accepted too, or what reason code refused it.
'use strict'

const { spawn } = require('node:child_process')
const { createInterface } = require('node:readline')
const mqtt = require('mqtt')

const [port, python, script, user, password, nextPassword] = process.argv.slice(2)
const method = 'SCRAM-SHA-256'

// The client's half of one exchange.
class Scram {
  constructor (password) {
    const options = { stdio: ['pipe', 'pipe', 'ignore'] }
    this.process = spawn(python, [script, user, password], options)
    this.lines = createInterface({ input: this.process.stdout })[Symbol.asyncIterator]()
  }

  async next () {
    return (await this.lines.next()).value
  }

  async data () {
    return Buffer.from(await this.next(), 'base64')
  }

  tell (data) {
    this.process.stdin.write(data.toString('base64') + '\n')
  }

  // The server proves itself by its last message.
  async verify (data) {
    this.tell(data)
    const verdict = await this.next()
    if (verdict !== 'verified') end(`the server is not verified: ${verdict}`, 2)
  }
}

let scram = new Scram(password)

function end (text, code) {
  console.log(text)
  scram.process.kill()
  process.exit(code)
}

// Proves a password once more on the same connection.
async function again (client) {
  scram.process.kill()
  scram = new Scram(nextPassword)
  const properties = { authenticationMethod: method, authenticationData: await scram.data() }
  client._sendPacket({ cmd: 'auth', reasonCode: 0x19, properties })
}

async function main () {
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: Number(port),
    protocolVersion: 5,
    clientId: 'scram-' + process.pid,
    reconnectPeriod: 0,
    properties: { authenticationMethod: method, authenticationData: await scram.data() }
  })
  client.handleAuth = async (packet, callback) => {
    if (packet.reasonCode === 0) {
      await scram.verify(packet.properties.authenticationData)
      // The connection goes on.
      await client.publishAsync('t', 'x', { qos: 1 })
      end('authenticated again', 0)
    }
    scram.tell(packet.properties.authenticationData)
    const properties = { authenticationMethod: method, authenticationData: await scram.data() }
    callback(null, { cmd: 'auth', reasonCode: 0x18, properties })
  }
  client.on('error', (error) => end(`refused ${error.code}`, 1))
  client.on('disconnect', (packet) => end(`disconnected ${packet.reasonCode}`, 1))
  client.on('connect', async (connack) => {
    await scram.verify(connack.properties.authenticationData)
    if (nextPassword === undefined) end('connected', 0)
    await again(client)
  })
}

main()
