// Kafka's own question for readiness: the port opens before a broker takes part in its cluster.
import { ask } from './probe.mjs';

const METADATA = 3;
const VERSION = 4; // understood from 2.4 to 4.x

/** Node ids of the live brokers as the broker at `port` sees them; undefined while it does not answer. */
export async function liveBrokers(port) {
  const answer = await ask(port, metadataRequest(), (bytes) =>
    bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0) ? bytes.subarray(4) : undefined,
  );
  return answer && readBrokers(answer);
}

/** A request for the brokers and no topic. */
function metadataRequest() {
  const client = Buffer.from('services');
  const body = Buffer.alloc(4 + 2 + 2 + 4 + 2 + client.length + 4 + 1);
  let at = body.writeInt32BE(body.length - 4, 0);
  at = body.writeInt16BE(METADATA, at);
  at = body.writeInt16BE(VERSION, at);
  at = body.writeInt32BE(1, at); // correlation id
  at = body.writeInt16BE(client.length, at);
  at += client.copy(body, at);
  at = body.writeInt32BE(0, at); // no topics
  body.writeInt8(0, at); // create none
  return body;
}

/** Reads correlation id, throttle time and the list of brokers; undefined when no controller is known yet. */
function readBrokers(answer) {
  let at = 8;
  const string = () => {
    const length = answer.readInt16BE(at);
    at += 2 + Math.max(0, length);
  };
  const ids = [];
  let left = answer.readInt32BE(at);
  at += 4;
  for (; left > 0; left--) {
    ids.push(answer.readInt32BE(at));
    at += 4;
    string(); // host
    at += 4; // port
    string(); // rack
  }
  string(); // cluster id
  return answer.readInt32BE(at) < 0 ? undefined : ids;
}
