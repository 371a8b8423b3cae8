// SPDX-License-Identifier: Apache-2.0
// Sends events with one of the SDKs, as a shop would, and prints what it sent as a JSON line. Usage:
//   node send.js MODULES SDK URL COUNT PACE_MS      SDK: segment, rudder, cloudevents
'use strict';
const path = require('node:path');
const { createRequire } = require('node:module');
const [modules, sdk, url, count, pace] = process.argv.slice(2);
const load = createRequire(path.join(modules, 'index.js'));
const pause = (ms) => new Promise((done) => setTimeout(done, ms));

const PRODUCT = { product_id: 's-1', price: 19.9, quantity: 2 };
const sent = [];

// What the n-th customer does: identified, then an order.
function calls(n) {
  const userId = `${sdk}-${n}`;
  return [
    { kind: 'identify', type: 'org.touchbus.customer.identified.v1', userId, traits: { email: `${userId}@klant.example` } },
    { kind: 'track', type: 'org.touchbus.order.placed.v1', userId, event: 'Order Completed',
      properties: { order_id: `${sdk}-o-${n}`, currency: 'EUR', products: [PRODUCT] } },
  ];
}

async function segment() {
  const { Analytics } = load('@segment/analytics-node');
  const analytics = new Analytics({ writeKey: 'key', host: url, flushAt: 3, flushInterval: 50, maxRetries: 50 });
  const failed = [];
  analytics.on('error', (error) => failed.push(String(error.reason || error.code || error)));
  for (let n = 0; n < count; n++) {
    for (const { kind, type, ...call } of calls(n)) {
      const messageId = `segment-${n}-${kind}`;
      const timestamp = new Date();
      sent.push({ id: messageId, type, userId: call.userId, time: timestamp.toISOString() });
      analytics[kind]({ ...call, messageId, timestamp });
    }
    await pause(pace);
  }
  await analytics.closeAndFlush({ timeout: 120000 });
  if (failed.length) throw new Error(`the SDK gave up: ${failed[0]}`);
}

async function rudder() {
  const Rudder = load('@rudderstack/rudder-sdk-node');
  const client = new Rudder('key', { dataPlaneUrl: url, flushAt: 4, flushInterval: 50, retryCount: 12, logLevel: 'error',
    axiosRetryConfig: { retryDelay: () => 500 } }); // gzip is its default
  const done = [];
  for (let n = 0; n < count; n++) {
    for (const { kind, type, ...call } of calls(n)) {
      const messageId = `rudder-${n}-${kind}`;
      const timestamp = new Date();
      sent.push({ id: messageId, type, userId: call.userId, time: timestamp.toISOString() });
      done.push(new Promise((resolve, reject) => client[kind]({ ...call, messageId, originalTimestamp: timestamp, timestamp },
        (error) => (error ? reject(error) : resolve()))));
    }
    await pause(pace);
  }
  client.flush();
  await Promise.all(done);
}

async function cloudevents() {
  const { CloudEvent, HTTP, emitterFor, httpTransport } = load('cloudevents');
  const emit = emitterFor(httpTransport(`${url}/events`));
  // The package leaves retries to its user: one that knows of 5xx and of connections that break.
  const post = async (message) => {
    const answer = await fetch(`${url}/events`, { method: 'POST', headers: message.headers, body: message.body });
    if (answer.status !== 200 && answer.status !== 202) throw new Error(`status ${answer.status}`);
  };
  const retry = async (send) => {
    for (let attempt = 0; ; attempt++) {
      try { await send(); return; } catch (error) { if (attempt > 60) throw error; await pause(500); }
    }
  };
  for (let n = 0; n < count; n++) {
    const events = calls(n).map(({ kind, type, userId, traits, properties }) => new CloudEvent({
      id: `cloudevents-${n}-${kind}`, source: '/shop', type, keys: `user_id=${userId}`, channel: 'web',
      data: traits ? { traits } : { order_id: properties.order_id, currency: 'EUR', lines: [{ sku: 's-1', quantity: 2, price: '19.90' }] } }));
    for (const event of events) sent.push({ id: event.id, type: event.type, userId: `${sdk}-${n}`, time: event.time });
    if (n % 3 === 0) {
      for (const event of events) await retry(async () => { await emit(event); await post(HTTP.binary(event)); });
    } else if (n % 3 === 1) {
      for (const event of events) await retry(() => post(HTTP.structured(event)));
    } else {
      await retry(() => post({ headers: { 'content-type': 'application/cloudevents-batch+json' }, body: JSON.stringify(events) }));
    }
    await pause(pace);
  }
}

({ segment, rudder, cloudevents })[sdk]().then(() => {
  console.log(JSON.stringify(sent));
  process.exit(0);
}, (error) => {
  console.error(error);
  process.exit(1);
});
