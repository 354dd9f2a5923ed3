// npm's sparkplug-payload as the reader of what an edge node publishes. Arguments: port, group. Events on stdout, one JSON object per line.
import { createRequire } from 'node:module';

const require = createRequire(`${process.env.ANDON_SPARKPLUG_NPM}/`);
const mqtt = require('mqtt');
const { decodePayload } = require('sparkplug-payload').get('spBv1.0');
const [port, group] = process.argv.slice(2);
const say = (event) => console.log(JSON.stringify(event, (_, value) => (typeof value === 'bigint' ? Number(value) : value)));
const plain = (value) => (value && typeof value === 'object' && 'toNumber' in value ? value.toNumber() : value);

const client = mqtt.connect(`mqtt://127.0.0.1:${port}`);
client.on('connect', () => client.subscribe(`spBv1.0/${group}/#`, () => say({ ready: true })));
client.on('message', (topic, bytes) => {
  const payload = decodePayload(bytes);
  const metrics = (payload.metrics ?? []).map((m) => [m.name ?? null, plain(m.alias) ?? null, m.type ?? null, plain(m.value) ?? null]);
  say({ topic, seq: plain(payload.seq) ?? null, metrics });
});
