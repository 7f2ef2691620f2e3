// The configuration file of a broker.
import { join } from 'node:path';
import { cached } from './package-cache.mjs';

/** Account of the SASL listeners; its form is that of a managed Kafka (instance and user joined by `#`). */
export const SASL = { user: 'ckafka-abc123#app', password: 's3cret' };

const PLAIN_LOGIN = 'org.apache.kafka.common.security.plain.PlainLoginModule';
const SCRAM_LOGIN = 'org.apache.kafka.common.security.scram.ScramLoginModule';

/**
 * Listeners: PLAINTEXT, SASL_PLAINTEXT, SASL_SSL, and PROXIEDn. The last are bound to one port and advertise another,
 * where a test puts its proxy: a client that bootstraps through the proxy then stays behind it. With `keeperPort` the
 * broker belongs to that ZooKeeper, else to a KRaft cluster of the nodes `ids`. `bind` is another address to listen on;
 * `settings` stand in the place of those here.
 */
export function brokerProperties({ version, id, ids, portOf, proxiedListeners, logs, scram, keeperPort, bind, settings = {} }) {
  const at = (listener) => portOf(id, listener);
  const replication = Math.min(3, ids.length);
  const inSync = replication > 1 ? 2 : 1;
  const mechanisms = scram ? ['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] : ['PLAIN'];

  const listeners = [
    { name: 'PLAINTEXT', protocol: 'PLAINTEXT', host: '127.0.0.1', port: at('plain') },
    { name: 'SASL_PLAINTEXT', protocol: 'SASL_PLAINTEXT', host: '127.0.0.1', port: at('sasl') },
    { name: 'SASL_SSL', protocol: 'SASL_SSL', host: 'localhost', port: at('ssl') },
    ...proxiedListeners.map((it) => {
      return { name: it.toUpperCase(), protocol: 'PLAINTEXT', host: '127.0.0.1', port: at(it), advertised: at(`${it}.advertised`) };
    }),
  ];
  const controller = keeperPort ? [] : [{ name: 'CONTROLLER', protocol: 'PLAINTEXT', host: '127.0.0.1', port: at('controller') }];
  const all = [...listeners, ...controller];

  const cluster = keeperPort
    ? { 'broker.id': id, 'zookeeper.connect': `127.0.0.1:${keeperPort}`, 'zookeeper.session.timeout.ms': 6000 }
    : {
        'process.roles': 'broker,controller',
        'node.id': id,
        'controller.quorum.voters': ids.map((node) => `${node}@127.0.0.1:${portOf(node, 'controller')}`).join(','),
        'controller.listener.names': 'CONTROLLER',
      };

  const logins = {};
  for (const listener of ['sasl_plaintext', 'sasl_ssl']) {
    for (const mechanism of mechanisms) {
      const login = mechanism === 'PLAIN' ? `${PLAIN_LOGIN} required "user_${SASL.user}"="${SASL.password}";` : `${SCRAM_LOGIN} required;`;
      logins[`listener.name.${listener}.${mechanism.toLowerCase()}.sasl.jaas.config`] = login;
    }
  }

  return format({
    ...cluster,
    listeners: all.map(({ name, host, port }) => `${name}://${name === 'CONTROLLER' ? host : (bind ?? host)}:${port}`).join(','),
    'advertised.listeners': listeners.map(({ name, host, port, advertised = port }) => `${name}://${host}:${advertised}`).join(','),
    'listener.security.protocol.map': all.map(({ name, protocol }) => `${name}:${protocol}`).join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    'sasl.enabled.mechanisms': mechanisms.join(','),
    ...logins,
    // Brokers before 3.x refuse an unencrypted PEM key.
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.location': join(cached('certificate'), 'server.p12'),
    'ssl.keystore.password': 'changeit',
    'ssl.key.password': 'changeit',
    'log.dirs': logs,
    'auto.create.topics.enable': false,
    'num.partitions': 1,
    'default.replication.factor': replication,
    'min.insync.replicas': inSync,
    'offsets.topic.replication.factor': replication,
    'offsets.topic.num.partitions': 4,
    'transaction.state.log.replication.factor': replication,
    'transaction.state.log.min.isr': inSync,
    'transaction.state.log.num.partitions': 4,
    ...(version.startsWith('4.') && {
      'share.coordinator.state.topic.replication.factor': replication,
      'share.coordinator.state.topic.min.isr': inSync,
    }),
    'message.max.bytes': 12_582_912,
    'replica.fetch.max.bytes': 12_582_912,
    'group.initial.rebalance.delay.ms': 0,
    'group.min.session.timeout.ms': 500,
    'log.segment.delete.delay.ms': 1000,
    'log.cleaner.dedupe.buffer.size': 16_777_216,
    'num.network.threads': 2,
    'num.io.threads': 4,
    // A broker that was killed is let in again when the session of its former life is over.
    'broker.session.timeout.ms': 5000,
    'broker.heartbeat.interval.ms': 500,
    ...settings,
  });
}

// The format's escape character is the backslash.
function format(properties) {
  return Object.entries(properties)
    .map(([key, value]) => `${key}=${String(value).replaceAll('\\', '\\\\')}\n`)
    .join('');
}
