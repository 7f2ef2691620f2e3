// Apache Kafka from its jars: KRaft with broker and controller in one process, or ZooKeeper beside an old broker.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureCertificate } from './certificate.mjs';
import { missingForJava } from './java.mjs';
import { keeperScript, keptNodeScript, nodeScript } from './kafka-container.mjs';
import { liveBrokers } from './kafka-metadata.mjs';
import { ensureKafka, jarsOf, javaCommand, runTool } from './kafka-program.mjs';
import { brokerProperties, SASL } from './kafka-properties.mjs';
import { cached, ensureCached } from './package-cache.mjs';
import { STATE } from './place.mjs';
import { timed } from './progress.mjs';
import { run } from './run.mjs';
import { ensureScramUser, untilNoBroker, zookeeper } from './zookeeper.mjs';

const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const FORMATTED = 'formatted';

/**
 * A Kafka of one version: one node or three, `keeper: true` for ZooKeeper in the place of KRaft, `proxied` listeners a
 * node for fault proxies, and `settings` of the brokers in the place of ours.
 */
export function kafka(name, version, { nodes = 1, keeper = false, proxied = 4, settings = {} } = {}) {
  const folder = join(STATE, name);
  const template = `${jarsOf(version)}-data`;
  const ids = Array.from({ length: nodes }, (_, index) => index + 1);
  const heap = nodes > 1 ? ['-Xms64m', '-Xmx384m'] : ['-Xms96m', '-Xmx512m'];
  const keeperPort = `${name}.zookeeper`;
  const portName = (id, listener) => `${name}.${id}.${listener}`;
  const proxiedListeners = Array.from({ length: proxied }, (_, index) => `proxied${index + 1}`);
  const listeners = ['plain', 'sasl', 'ssl', ...proxiedListeners, ...(keeper ? [] : ['controller'])];
  const reserved = proxiedListeners.map(advertised);
  // KRaft has SCRAM from 3.5.
  const scram = keeper || (!version.startsWith('2.') && !/^3\.[0-4]\./.test(version));

  const propertiesOf = (id, ports, logs, bind) => {
    const portOf = (node, listener) => ports[portName(node, listener)];
    return brokerProperties({
      version,
      id,
      ids,
      portOf,
      proxiedListeners,
      logs,
      scram,
      keeperPort: keeper && ports[keeperPort],
      bind,
      settings,
    });
  };
  const formatArguments = (properties) => {
    const users = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((it) => `${it}=[name=${SASL.user},password=${SASL.password}]`);
    return ['format', '-t', CLUSTER_ID, '-c', properties, ...(scram ? users.flatMap((user) => ['--add-scram', user]) : [])];
  };

  async function install() {
    await Promise.all([ensureKafka(version), ensureCertificate()]);
    if (keeper) return;
    // Formatting takes a Java of its own: once per version, then a copy.
    await ensureCached(template, (to) =>
      timed(`formatted the storage of Kafka ${version}`, async () => {
        const properties = join(to, 'format.properties');
        const ports = Object.fromEntries([...listeners, ...reserved].map((listener, index) => [portName(1, listener), index + 1]));
        const alone = brokerProperties({
          version,
          id: 1,
          ids: [1],
          portOf: (_, it) => ports[portName(1, it)],
          proxiedListeners,
          logs: join(to, FORMATTED),
          scram,
        });
        writeFileSync(properties, alone);
        await runTool(version, to, 'kafka.tools.StorageTool', formatArguments(properties));
      }),
    );
  }

  function broker(id) {
    const own = join(folder, String(id));
    const logs = join(own, 'logs');
    const properties = join(own, 'server.properties');
    return {
      name: `node ${id}`,
      folder: own,
      portNames: listeners.map((listener) => portName(id, listener)),
      reservedPortNames: reserved.map((listener) => portName(id, listener)),
      async prepare(ports) {
        if (keeper) {
          mkdirSync(logs, { recursive: true });
          await untilNoBroker(ports[keeperPort]);
          await ensureScramUser(version, own, ports[keeperPort]);
        } else if (!existsSync(logs)) await copyFormatted(join(cached(template), FORMATTED), logs, id);
        writeFileSync(properties, propertiesOf(id, ports, logs));
      },
      command: () => javaCommand(version, own, heap, 'kafka.Kafka', [properties]),
      async answers(ports) {
        const live = await liveBrokers(ports[portName(id, 'plain')]);
        return live !== undefined && ids.every((it) => live.includes(it));
      },
    };
  }

  // In containers the nodes of a service share the network of the first one, which opens the ports of all.
  async function prepareContainers(ports, keytool) {
    await ensureCertificate(keytool);
    for (const server of [...(keeper ? [keeperServer] : []), ...brokers]) mkdirSync(server.folder, { recursive: true });
    if (keeper) {
      keeperServer.prepare(ports);
      writeFileSync(
        join(keeperServer.folder, 'container.sh'),
        keeperScript({ properties: join(keeperServer.folder, 'zookeeper.properties') }),
      );
    }
    for (const id of ids) {
      const own = join(folder, String(id));
      const logs = join(own, 'logs');
      const properties = join(own, 'server.properties');
      mkdirSync(logs, { recursive: true });
      writeFileSync(properties, propertiesOf(id, ports, logs, '0.0.0.0'));
      const script = keeper
        ? keptNodeScript({ properties, heap, keeperPort: ports[keeperPort] })
        : nodeScript({ properties, logs, heap, format: formatArguments(properties) });
      writeFileSync(join(own, 'container.sh'), script);
    }
  }

  const key = `TXBOX_TEST_${name.toUpperCase().replace('-', '_')}_BROKERS`;
  const brokers = ids.map(broker);
  const keeperServer = keeper && zookeeper(version, join(folder, 'zookeeper'), keeperPort);
  const containerNames = [...(keeper ? [`${name}-zookeeper`] : []), ...ids.map((id) => (nodes > 1 ? `${name}-${id}` : name))];
  const published = brokers.flatMap((server) => server.portNames).map((port) => ({ port }));
  return {
    name,
    key,
    folder,
    missing: missingForJava,
    install,
    stages: keeper ? [[keeperServer], brokers] : [brokers],
    containers: {
      ports: Object.fromEntries(containerNames.map((container, index) => [container, index === 0 ? published : []])),
      prepare: prepareContainers,
    },
    environment(ports) {
      const prefix = key.slice(0, -'_BROKERS'.length);
      const list = (listener, host = '127.0.0.1') => ids.map((id) => `${host}:${ports[portName(id, listener)]}`).join(',');
      return {
        [key]: list('plain'),
        [`${prefix}_SASL_BROKERS`]: list('sasl'),
        [`${prefix}_SASL_USER`]: SASL.user,
        [`${prefix}_SASL_PASSWORD`]: SASL.password,
        [`${prefix}_SSL_BROKERS`]: list('ssl', 'localhost'),
        [`${prefix}_SSL_CA`]: join(cached('certificate'), 'ca.pem'),
        [`${prefix}_PROXIED_BROKERS`]: proxiedListeners.map((listener) => list(listener)).join(','),
        [`${prefix}_PROXIED_ADVERTISED`]: proxiedListeners.map((listener) => list(advertised(listener))).join(','),
      };
    },
  };
}

const advertised = (listener) => `${listener}.advertised`;

async function copyFormatted(template, logs, id) {
  rmSync(`${logs}.new`, { recursive: true, force: true });
  await run('cp', ['-R', template, `${logs}.new`]);
  const meta = join(`${logs}.new`, 'meta.properties');
  const text = readFileSync(meta, 'utf8').replace(/^node\.id=.*/m, `node.id=${id}`);
  writeFileSync(meta, text.replace(/^directory\.id=.*/m, `directory.id=${randomBytes(16).toString('base64url')}`));
  await rename(`${logs}.new`, logs);
}
