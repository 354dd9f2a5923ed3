// Paho for JavaScript, which speaks WebSocket only, as in a browser: what it takes from there is given to it here.
import { peer, serve, tell } from './driver.mjs';

const WebSocket = peer('ws');

const kept = new Map();
globalThis.localStorage = {
  getItem: (key) => kept.get(key) ?? null,
  setItem: (key, value) => kept.set(key, value),
  removeItem: (key) => kept.delete(key),
  key: (index) => [...kept.keys()][index],
  get length() {
    return kept.size;
  },
};
let sockets = [];
globalThis.WebSocket = class extends WebSocket {
  constructor(...given) {
    super(...given);
    sockets.push(this);
  }
};
const { Client, Message } = peer('paho-mqtt');

let client;

function promised(run) {
  return new Promise((resolve, reject) => run(resolve, reject));
}

serve({
  async connect({ url, clientId, options = {}, will }) {
    if (!client) {
      client = new Client(url, clientId);
      client.onMessageArrived = (message) =>
        tell({
          event: 'message',
          topic: message.destinationName,
          payload: message.payloadString,
          qos: message.qos,
          retain: message.retained,
          dup: message.duplicate,
        });
      client.onMessageDelivered = (message) => tell({ event: 'delivered', payload: message.payloadString });
      client.onConnectionLost = ({ errorCode, errorMessage }) => tell({ event: 'close', code: errorCode, message: errorMessage });
    }
    const willMessage = will && Object.assign(new Message(will.payload), { destinationName: will.topic, qos: will.qos, retained: will.retain });
    await promised((onSuccess, onFailure) =>
      client.connect({ timeout: 10, ...(willMessage && { willMessage }), hosts: [url], ...options, onSuccess, onFailure }));
    return { protocol: sockets.at(-1).protocol };
  },
  publish({ topic, payload, qos = 0, retain = false }) {
    client.send(topic, payload, qos, retain);
  },
  subscribe: ({ filter, qos }) => promised((onSuccess, onFailure) => client.subscribe(filter, { qos, timeout: 10, onSuccess, onFailure })),
  unsubscribe: ({ filter }) => promised((onSuccess, onFailure) => client.unsubscribe(filter, { timeout: 10, onSuccess, onFailure })),
  end: () => client.disconnect(),
  /** Cuts the connection without a word. */
  drop: () => sockets.at(-1).terminate(),
});
