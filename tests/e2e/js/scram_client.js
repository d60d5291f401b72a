// MQTT.js with enhanced authentication, whose messages scramp makes and checks:
// `SCRIPT PORT PYTHON SCRAM_SCRIPT USER PASSWORD`. Prints `connected`, or the reason code.
'use strict'

const { spawn } = require('node:child_process')
const { createInterface } = require('node:readline')
const mqtt = require('mqtt')

const [port, python, script, user, password] = process.argv.slice(2)
const scram = spawn(python, [script, user, password], { stdio: ['pipe', 'pipe', 'ignore'] })
const lines = createInterface({ input: scram.stdout })[Symbol.asyncIterator]()

// The next message of the client's half.
async function next () {
  return (await lines.next()).value
}

function tell (data) {
  scram.stdin.write(data.toString('base64') + '\n')
}

function end (text, code) {
  console.log(text)
  scram.kill()
  process.exit(code)
}

async function main () {
  const method = 'SCRAM-SHA-256'
  const client = mqtt.connect({
    host: '127.0.0.1',
    port: Number(port),
    protocolVersion: 5,
    clientId: 'scram-' + process.pid,
    reconnectPeriod: 0,
    properties: {
      authenticationMethod: method,
      authenticationData: Buffer.from(await next(), 'base64')
    }
  })
  client.handleAuth = async (packet, callback) => {
    tell(packet.properties.authenticationData)
    const authenticationData = Buffer.from(await next(), 'base64')
    const properties = { authenticationMethod: method, authenticationData }
    callback(null, { cmd: 'auth', reasonCode: 0x18, properties })
  }
  client.on('error', (error) => end(`refused ${error.code}`, 1))
  client.on('connect', async (connack) => {
    // The server proves itself by its last message.
    tell(connack.properties.authenticationData)
    const verdict = await next()
    end(verdict === 'verified' ? 'connected' : `the server is not verified: ${verdict}`, verdict === 'verified' ? 0 : 2)
  })
}

main()
