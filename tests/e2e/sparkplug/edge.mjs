// npm's sparkplug-client as an edge node with a device. Commands on stdin, events on stdout, one JSON object per line.
// Arguments: port, group, edge node. Commands: {"device": {"speed": 1.5}}, {"skip": 1} (a number is left out), {"deaf": true} (from now on it does not
// answer when it is asked for a birth), {"birth": true}, {"leave": true}, {"skid": {"running": true}} (from the first one on, its birth has a second
// device, `skid`, with an instance of a template, `Pump 1`; data carry those members that are given).
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
const pumpTypes = { temperature: 'Double', running: 'Boolean' };
const pumpNow = { temperature: 20.5, running: false };
const pump = (values) => ({
  name: 'Pump 1',
  type: 'Template',
  timestamp: Date.now(),
  value: {
    isDefinition: false,
    templateRef: 'Pump',
    version: '2.1',
    metrics: Object.entries(values).map(([name, value]) => ({ name, value, type: pumpTypes[name] })),
    parameters: [],
  },
});
let skid = false;
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
  if (skid) client.publishDeviceBirth('skid', { timestamp: Date.now(), metrics: [pump(pumpNow)] });
  say({ born: true });
};
client.on('birth', born);
client.on('ncmd', (payload) => {
  say({ ncmd: payload.metrics.map((m) => [m.name ?? null, m.value]) });
  if (!deaf && payload.metrics.some((m) => m.name === 'Node Control/Rebirth' && m.value === true)) born();
});
client.on('dcmd', (device, payload) => {
  if (device === 'skid') {
    const { name, value } = payload.metrics[0];
    const members = Object.fromEntries(value.metrics.map((m) => [m.name, m.value]));
    say({ dcmd: device, template: [name, value.templateRef, value.version, value.isDefinition], members });
    Object.assign(pumpNow, members);
    return client.publishDeviceData('skid', { timestamp: Date.now(), metrics: [pump(members)] });
  }
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
  if (command.skid) {
    Object.assign(pumpNow, command.skid);
    if (skid) client.publishDeviceData('skid', { timestamp: Date.now(), metrics: [pump(command.skid)] });
    skid = true;
  }
  if (command.birth) born();
  if (command.death) client.publishDeviceDeath('press', { timestamp: Date.now() });
  if (command.leave) client.stop();
});
