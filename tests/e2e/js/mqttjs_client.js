// MQTT.js against the server: MQTT 3.1, 3.1.1 and 5.
'use strict'

const assert = require('node:assert/strict')
const mqtt = require('mqtt')
const { LIMIT, Queue, run } = require('./cases')

// A client whose events end in queues.
class Client {
  constructor (env, tail, options = {}) {
    this.env = env
    this.messages = new Queue()
    this.disconnects = new Queue()
    this.closes = new Queue()
    this.options = {
      host: env.host,
      port: env.port,
      protocol: env.protocol,
      path: '/mqtt',
      protocolVersion: env.version,
      protocolId: env.version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: env.clientId(tail),
      reconnectPeriod: 0,
      connectTimeout: LIMIT,
      ...options
    }
  }

  // Connects; returns whether the server had a session.
  connect () {
    return new Promise((resolve, reject) => {
      this.mqtt = mqtt.connect(this.options)
      // The library hands an alias over as it came; `topic` is what it made of it.
      this.mqtt.on('message', (topic, payload, packet) => this.messages.put({ ...packet, topic, payload }))
      this.mqtt.on('disconnect', (packet) => this.disconnects.put(packet))
      this.mqtt.on('close', () => this.closes.put(true))
      this.mqtt.on('error', reject)
      this.mqtt.on('connect', (connack) => {
        this.connack = connack
        resolve(connack.sessionPresent)
      })
    })
  }

  async subscribe (topic, qos = 0, options = {}) {
    const granted = await this.mqtt.subscribeAsync(topic, { qos, ...options })
    return granted[0]?.qos
  }

  publish (topic, payload = '', qos = 0, options = {}) {
    return this.mqtt.publishAsync(topic, payload, { qos, ...options })
  }

  receive () {
    return this.messages.get('a message')
  }

  // All messages before the one on `topic`.
  async receiveUntil (topic) {
    const messages = []
    for (;;) {
      const message = await this.receive()
      if (message.topic === topic) return messages
      messages.push(message)
    }
  }

  async disconnect () {
    await this.mqtt.endAsync()
  }

  // Loses the connection without DISCONNECT.
  async drop () {
    this.mqtt.stream.destroy()
    await this.closes.get('the close')
  }
}

async function connected (env, tail, options) {
  const client = new Client(env, tail, options)
  await client.connect()
  return client
}

function persistent (env) {
  return { clean: false, ...(env.v5 ? { properties: { sessionExpiryInterval: 300 } } : {}) }
}

const text = (message) => message.payload.toString()

const cases = {
  async qos_both_ways (env) {
    const pub = await connected(env, 'pub')
    for (const granted of [0, 1, 2]) {
      const sub = await connected(env, `sub${granted}`)
      assert.equal(await sub.subscribe(env.topic('+'), granted), granted)
      for (const qos of [0, 1, 2]) {
        await pub.publish(env.topic(`q${qos}`), `payload ${qos}`, qos)
        const message = await sub.receive()
        assert.equal(message.topic, env.topic(`q${qos}`))
        assert.equal(text(message), `payload ${qos}`)
        assert.equal(message.qos, Math.min(qos, granted))
        assert.equal(message.retain, false)
      }
      await sub.disconnect()
    }
  },

  async many_in_order (env) {
    const sub = await connected(env, 'sub')
    const pub = await connected(env, 'pub')
    await sub.subscribe(env.topic('#'), 2)
    const count = 600
    for (let i = 0; i < count; i++) pub.mqtt.publish(env.topic('a'), String(i), { qos: i % 3 })
    const got = [[], [], []]
    for (let i = 0; i < count; i++) {
      const message = await sub.receive()
      got[message.qos].push(Number(text(message)))
    }
    for (const qos of [0, 1, 2]) {
      const wanted = Array.from({ length: count / 3 }, (_, i) => 3 * i + qos)
      assert.deepEqual(got[qos], wanted, `order at QoS ${qos}`)
    }
  },

  async retained (env) {
    const pub = await connected(env, 'pub')
    const retain = { retain: true }
    await pub.publish(env.topic('state'), 'on', 1, retain)
    const sub = await connected(env, 'sub')
    await sub.subscribe(env.topic('#'), 1)
    const kept = await sub.receive()
    assert.deepEqual([text(kept), kept.retain], ['on', true])
    await pub.publish(env.topic('state'), '', 1, retain)
    assert.equal(text(await sub.receive()), '')
    const late = await connected(env, 'late')
    await late.subscribe(env.topic('#'), 1)
    await pub.publish(env.topic('end'), '', 1)
    assert.deepEqual(await late.receiveUntil(env.topic('end')), [])
  },

  async will (env) {
    const watcher = await connected(env, 'watcher')
    await watcher.subscribe(env.topic('#'), 2)
    for (const qos of [0, 1, 2]) {
      const will = { topic: env.topic('will'), payload: `gone ${qos}`, qos }
      const client = await connected(env, `w${qos}`, { will })
      await client.drop()
      const message = await watcher.receive()
      assert.deepEqual([text(message), message.qos], [`gone ${qos}`, qos])
    }
    const quiet = await connected(env, 'quiet', { will: { topic: env.topic('will'), payload: 'no', qos: 1 } })
    await quiet.disconnect()
    const again = await connected(env, 'quiet')
    await again.publish(env.topic('end'), '', 1)
    assert.deepEqual(await watcher.receiveUntil(env.topic('end')), [])
  },

  async shared (env) {
    const filter = `$share/group/${env.topic('#')}`
    const members = []
    for (let i = 0; i < 3; i++) {
      const member = await connected(env, `m${i}`)
      await member.subscribe(filter, 1)
      members.push(member)
    }
    const all = new Queue()
    for (const member of members) member.messages.put = (message) => all.put(message)
    const pub = await connected(env, 'pub')
    const count = 60
    for (let i = 0; i < count; i++) await pub.publish(env.topic('job'), String(i), 1)
    const got = []
    for (let i = 0; i < count; i++) got.push(Number(text(await all.get('a shared message'))))
    got.sort((a, b) => a - b)
    assert.deepEqual(got, Array.from({ length: count }, (_, i) => i))
  },

  async offline_queue (env) {
    const sub = new Client(env, 'sub', persistent(env))
    assert.equal(await sub.connect(), false)
    await sub.subscribe(env.topic('#'), 1)
    await sub.disconnect()
    const pub = await connected(env, 'pub')
    const count = 100
    for (let i = 0; i < count; i++) await pub.publish(env.topic('a'), String(i), 1)
    const again = new Client(env, 'sub', persistent(env))
    const present = await again.connect()
    // MQTT 3.1 has no Session Present.
    if (env.version !== 3) assert.equal(present, true)
    for (let i = 0; i < count; i++) assert.equal(text(await again.receive()), String(i))
  },

  async take_over (env) {
    const old = new Client(env, 'c')
    await old.connect()
    const fresh = new Client(env, 'c')
    await fresh.connect()
    if (env.v5) assert.equal((await old.disconnects.get('DISCONNECT')).reasonCode, 0x8e)
    await old.closes.get('the close of the old connection')
    await fresh.subscribe(env.topic('a'))
    await fresh.publish(env.topic('a'), 'mine')
    assert.equal(text(await fresh.receive()), 'mine')
  },

  async large_payload (env) {
    const client = await connected(env, 'c')
    await client.subscribe(env.topic('a'), 2)
    for (const qos of [0, 1, 2]) {
      const payload = Buffer.alloc(900 * 1024, `chunk ${qos} `)
      await client.publish(env.topic('a'), payload, qos)
      assert.ok((await client.receive()).payload.equals(payload))
    }
  },

  async unsubscribe (env) {
    const client = await connected(env, 'c')
    await client.subscribe(env.topic('a'), 1)
    await client.subscribe(env.topic('end'), 1)
    await client.mqtt.unsubscribeAsync(env.topic('a'))
    await client.publish(env.topic('a'), 'x', 1)
    await client.publish(env.topic('end'), '', 1)
    assert.deepEqual(await client.receiveUntil(env.topic('end')), [])
  },

  async request_response (env) {
    const server = await connected(env, 'server')
    await server.subscribe(env.topic('request'), 1)
    const client = await connected(env, 'client')
    await client.subscribe(env.topic('response'), 1)
    const correlationData = Buffer.from([0, 255, 1])
    await client.publish(env.topic('request'), '2+2', 1, {
      properties: { responseTopic: env.topic('response'), correlationData }
    })
    const { responseTopic, correlationData: echoed } = (await server.receive()).properties
    await server.publish(responseTopic, '4', 1, { properties: { correlationData: echoed } })
    const response = await client.receive()
    assert.equal(text(response), '4')
    assert.ok(response.properties.correlationData.equals(correlationData))
  },

  // The library resolves what the server sends and, with autoAssignTopicAlias, sends aliases itself.
  async alias_both_ways (env) {
    const sub = await connected(env, 'sub', { properties: { topicAliasMaximum: 3 } })
    await sub.subscribe(env.topic('#'), 1)
    const pub = await connected(env, 'pub', { autoAssignTopicAlias: true })
    assert.ok(pub.connack.properties.topicAliasMaximum >= 1)
    // More topics than either side has aliases, each several times.
    const count = 120
    for (let i = 0; i < count; i++) await pub.publish(env.topic(`t${i % 12}`), String(i), i % 2)
    for (let i = 0; i < count; i++) {
      const message = await sub.receive()
      assert.equal(message.topic, env.topic(`t${Number(text(message)) % 12}`), 'topic by alias')
    }
  },

  async properties (env) {
    const sub = await connected(env, 'sub')
    await sub.subscribe(env.topic('a'), 1, { properties: { subscriptionIdentifier: 77 } })
    const pub = await connected(env, 'pub')
    await pub.publish(env.topic('a'), 'x', 1, {
      properties: {
        userProperties: { b: ['1', '2'], a: '3' },
        contentType: 'text/plain',
        payloadFormatIndicator: true,
        messageExpiryInterval: 100
      }
    })
    const p = (await sub.receive()).properties
    assert.deepEqual({ ...p.userProperties }, { b: ['1', '2'], a: '3' })
    assert.equal(p.contentType, 'text/plain')
    assert.equal(p.payloadFormatIndicator, true)
    assert.equal(p.subscriptionIdentifier, 77)
    assert.ok(p.messageExpiryInterval >= 98 && p.messageExpiryInterval <= 100)
  },

  async subscription_options (env) {
    const pub = await connected(env, 'pub')
    await pub.publish(env.topic('a'), 'kept', 1, { retain: true })
    const client = await connected(env, 'c')
    await client.subscribe(env.topic('#'), 1, { nl: true, rap: true, rh: 2 })
    await client.publish(env.topic('a'), 'own', 1)
    await pub.publish(env.topic('a'), 'retained now', 1, { retain: true })
    const message = await client.receive()
    assert.deepEqual([text(message), message.retain], ['retained now', true])
  }
}

run(cases)
