// SPDX-License-Identifier: Apache-2.0
// Reads CloudEvents JSON lines on stdin and has the npm package `cloudevents` judge each, strictly,
// then read it back from its own structured HTTP form. Prints how many it accepted.
import { createInterface } from "node:readline";
import { createRequire } from "node:module";

const { CloudEvent, HTTP } = createRequire(process.argv[2] + "/")("cloudevents");
let accepted = 0;
for await (const line of createInterface({ input: process.stdin })) {
  const event = new CloudEvent(JSON.parse(line)); // throws where it breaks the specification
  event.validate();
  const back = HTTP.toEvent({
    headers: { "content-type": "application/cloudevents+json" },
    body: line,
  });
  back.validate();
  for (const name of ["id", "source", "type", "sequence", "customer", "keys"]) {
    if (back[name] !== event[name]) throw new Error(`${name} differs`);
  }
  if (typeof back.sequence !== "string") throw new Error("sequence is no string");
  accepted++;
}
console.log(accepted);
