// npm's sparkplug-client as an edge node with a device. Commands on stdin, events on stdout, one JSON object per line.
// Arguments: port, group, edge node. Commands: {"device": {"speed": 1.5}}, {"skip": 1} (a number is left out), {"deaf": true} (from now on it does not
// answer when it is asked for a birth), {"birth": true}, {"leave": true}.
import { createRequire } from 'node:module';
import { createInterface } from 'node:readline';

const require = createRequire(`${process.env.ANDON_SPARKPLUG_NPM}/`);
const { newClient } = require('sparkplug-client');
const [port, groupId, edgeNode] = process.argv.slice(2);
const say = (event) => console.log(JSON.stringify(event));

const types = { speed: 'Double', count: 'UInt32', offset: 'Int16', lamp: 'Boolean', recipe: 'String', single: 'Float' };
const now = { speed: 1.5, count: 4_000_000_000, offset: -7, lamp: true, recipe: 'Öl 5', single: 0.25 };
const metrics = (values) =>
  Object.entries(values).map(([name, value]) => ({ name, value, type: types[name], timestamp: Date.now() }));
const nodeBirth = () => ({
  timestamp: Date.now(),
  metrics: [{ name: 'Node Control/Rebirth', type: 'Boolean', value: false, timestamp: Date.now() }],
});

const client = newClient({
  serverUrl: `mqtt://127.0.0.1:${port}`,
  username: null,
  password: null,
  groupId,
  edgeNode,
  clientId: `npm-${edgeNode}`,
  publishDeath: true,
});
let deaf = false;
const born = () => {
  client.publishNodeBirth(nodeBirth());
  client.publishDeviceBirth('press', { timestamp: Date.now(), metrics: metrics(now) });
  say({ born: true });
};
client.on('birth', born);
client.on('ncmd', (payload) => {
  say({ ncmd: payload.metrics.map((m) => [m.name ?? null, m.value]) });
  if (!deaf && payload.metrics.some((m) => m.name === 'Node Control/Rebirth' && m.value === true)) born();
});
client.on('dcmd', (device, payload) => {
  const wanted = payload.metrics.map((m) => [m.name ?? null, m.value]);
  say({ dcmd: device, metrics: wanted });
  const values = Object.fromEntries(wanted.filter(([name]) => name in types));
  if (Object.keys(values).length === 0) return;
  Object.assign(now, values);
  client.publishDeviceData('press', { timestamp: Date.now(), metrics: metrics(values) });
});
client.on('error', (error) => say({ error: String(error) }));

createInterface({ input: process.stdin }).on('line', (line) => {
  const command = JSON.parse(line);
  if (command.deaf) deaf = true;
  if (command.skip) client.incrementSeqNum();
  if (command.device) {
    Object.assign(now, command.device);
    client.publishDeviceData('press', { timestamp: Date.now(), metrics: metrics(command.device) });
  }
  if (command.birth) born();
  if (command.death) client.publishDeviceDeath('press', { timestamp: Date.now() });
  if (command.leave) client.stop();
});
