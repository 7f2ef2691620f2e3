// Kafka in containers: the same configuration as without, and a script that formats, or makes accounts, and starts. It
// runs in the images of Apache (programs end in `.sh`, not on PATH) and of others (neither).
import { SASL } from './kafka-properties.mjs';

const HEAD = `#!/bin/sh
set -e
PATH="$PATH:/opt/kafka/bin"
LOG_DIR=/tmp/kafka-tools
export PATH LOG_DIR
program() { command -v "$1.sh" || command -v "$1"; }
`;

const quoted = (text) => `'${text.replaceAll("'", "'\\''")}'`;

/** The script of a KRaft node; `format` are the arguments of the storage tool. */
export function nodeScript({ properties, logs, heap, format }) {
  return `${HEAD}[ -s ${quoted(`${logs}/meta.properties`)} ] || "$(program kafka-storage)" ${format.map(quoted).join(' ')}
${startBroker(properties, heap)}`;
}

/** The script of a broker beside ZooKeeper. */
export function keptNodeScript({ properties, heap, keeperPort }) {
  const credentials = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((mechanism) => `${mechanism}=[password=${SASL.password}]`).join(',');
  const account = ['--alter', '--add-config', credentials, '--entity-type', 'users', '--entity-name', SASL.user].map(quoted).join(' ');
  return `${HEAD}until "$(program kafka-configs)" --zookeeper 127.0.0.1:${keeperPort} ${account}; do sleep 1; done
${startBroker(properties, heap)}`;
}

/** The script of ZooKeeper. */
export function keeperScript({ properties }) {
  return `${HEAD}KAFKA_HEAP_OPTS=-Xmx128m exec "$(program zookeeper-server-start)" ${quoted(properties)}\n`;
}

// Killed brokers are registered for a while: the container is restarted until there is room.
const startBroker = (properties, heap) =>
  `KAFKA_HEAP_OPTS='${heap.join(' ')}' exec "$(program kafka-server-start)" ${quoted(properties)}\n`;
