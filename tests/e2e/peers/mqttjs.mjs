// MQTT.js, over TCP, TLS and WebSocket. Nothing reconnects by itself, so that a test knows what the client has seen.
import { readFileSync } from 'node:fs';
import { peer, serve, tell } from './driver.mjs';

const { connect } = peer('mqtt');

let client;
// The next word of an authentication exchange, asked of the test.
let answers = [];

/** Bytes in properties come and go as Base64. */
function decoded(properties = {}) {
  const made = { ...properties };
  for (const name of ['correlationData', 'authenticationData']) {
    if (made[name] !== undefined) made[name] = Buffer.from(made[name], 'base64');
  }
  return made;
}

function encoded(properties = {}) {
  const made = { ...properties };
  for (const name of ['correlationData', 'authenticationData']) {
    if (made[name] !== undefined) made[name] = made[name].toString('base64');
  }
  return made;
}

/** One error of the client, instead of success. */
function once(success, failures) {
  return new Promise((resolve, reject) => {
    const done = (settle) => (value) => {
      client.off(success, good);
      failures.forEach((name) => client.off(name, bad));
      settle(value);
    };
    const good = done(resolve);
    const bad = done((error) => reject(error ?? new Error('closed')));
    client.once(success, good);
    failures.forEach((name) => client.once(name, bad));
  });
}

serve({
  async connect({ url, options = {}, ca, cert, key }) {
    const files = Object.fromEntries(
      Object.entries({ ca, cert, key }).filter(([, path]) => path).map(([name, path]) => [name, readFileSync(path)]),
    );
    const will = options.will && { ...options.will, properties: decoded(options.will.properties) };
    client = connect(url, {
      reconnectPeriod: 0,
      connectTimeout: 10_000,
      ...options,
      ...files,
      ...(will && { will }),
      properties: options.properties && decoded(options.properties),
    });
    client.handleAuth = (packet, callback) => {
      if (packet.reasonCode === 0) {
        tell({ event: 'authenticated', properties: encoded(packet.properties) });
        return callback(null, undefined);
      }
      answers.push((data) => callback(null, {
        cmd: 'auth',
        reasonCode: 0x18,
        properties: { authenticationMethod: packet.properties.authenticationMethod, authenticationData: Buffer.from(data, 'base64') },
      }));
      tell({ event: 'auth', reason: packet.reasonCode, properties: encoded(packet.properties) });
    };
    client.on('message', (topic, payload, { qos, retain, dup, properties }) =>
      tell({ event: 'message', topic, payload: payload.toString(), qos, retain, dup, properties: encoded(properties) }));
    client.on('disconnect', ({ reasonCode, properties }) => tell({ event: 'disconnect', reason: reasonCode, properties }));
    client.on('close', () => tell({ event: 'close' }));
    client.on('error', (error) => tell({ event: 'error', message: error.message, code: error.code ?? null }));
    const { sessionPresent, reasonCode, properties } = await once('connect', ['error', 'close']);
    return { sessionPresent, reasonCode, properties: encoded(properties) };
  },
  /** Connects again with the same options and the same store, as after a lost network. */
  async reconnect({ url }) {
    if (url) {
      const { hostname, port } = new URL(url);
      Object.assign(client.options, { hostname, host: hostname, port: Number(port), href: url });
    }
    client.reconnect();
    const { sessionPresent } = await once('connect', ['error', 'close']);
    return { sessionPresent };
  },
  answer: ({ data }) => answers.shift()(data),
  authenticate_again({ method, data }) {
    const properties = { authenticationMethod: method, authenticationData: Buffer.from(data, 'base64') };
    client._sendPacket({ cmd: 'auth', reasonCode: 0x19, properties });
  },
  async publish({ topic, payload, options = {} }) {
    const packet = await client.publishAsync(topic, payload, { ...options, properties: decoded(options.properties) });
    return { reason: packet?.reasonCode ?? null };
  },
  async subscribe({ filters, options }) {
    return await new Promise((resolve, reject) =>
      client.subscribe(filters, options, (error, granted) => (error ? reject(error) : resolve(granted))));
  },
  async unsubscribe({ filters }) {
    const packet = await client.unsubscribeAsync(filters);
    return packet?.granted ?? null;
  },
  end: ({ options }) => client.endAsync(false, options ?? {}),
  /** Cuts the connection without a word. */
  drop: () => client.stream.destroy(),
});
