// Apache Kafka from its jars: KRaft with broker and controller in one process, or ZooKeeper beside an old broker.
import { randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { ensureCertificate } from './certificate.mjs';
import { ensureJars } from './jars.mjs';
import { ensureJava, missingForJava } from './java.mjs';
import { liveBrokers } from './kafka-metadata.mjs';
import { brokerProperties, SASL } from './kafka-properties.mjs';
import { cached, ensureCached } from './package-cache.mjs';
import { STATE } from './place.mjs';
import { ask } from './probe.mjs';
import { timed } from './progress.mjs';
import { run } from './run.mjs';

const CLUSTER_ID = 'AAAAAAAAAAAAAAAAAAAAAQ';
const SERIAL = ['-XX:+UseSerialGC', '-Xshare:auto'];
const TOOL = ['-Xmx128m', '-XX:TieredStopAtLevel=1', ...SERIAL];
const LOG4J1 = `log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=%d %p %c{1} %m%n
`;

/** A Kafka of one version with one node or three; `zookeeper` for versions before KRaft. */
export function kafka(name, version, { nodes = 1, zookeeper = false, proxied = 4 } = {}) {
  const [major, minor] = version.split('.').map(Number);
  const key = `TXBOX_TEST_${name.toUpperCase().replace('-', '_')}_BROKERS`;
  const root = `kafka-${version}`;
  const template = `${root}-data`;
  const folder = join(STATE, name);
  const ids = Array.from({ length: nodes }, (_, index) => index + 1);
  const scram = zookeeper || major > 3 || (major === 3 && minor >= 5);

  const port = (id, listener) => `${name}.${id}.${listener}`;
  const proxiedOf = Array.from({ length: proxied }, (_, index) => `proxied${index + 1}`);
  const listenersOf = [
    'plain',
    'sasl',
    'ssl',
    ...proxiedOf,
    ...proxiedOf.map((it) => `${it}.advertised`),
    ...(zookeeper ? [] : ['controller']),
  ];

  const logging = (to) =>
    major >= 4 ? ['-Dlog4j2.level=WARN', '-Dorg.apache.logging.log4j.level=WARN'] : [`-Dlog4j.configuration=file:${to}/log4j.properties`];

  // A class path may hold no link to a folder with `:` in it, so servers are started with a path relative to nothing else.
  const java = (to, options, main, args) => [...options, ...logging(to), '-cp', `${cached(root)}/*`, main, ...args];

  async function install() {
    const [runtime] = await Promise.all([ensureJava(), ensureJars(root, artifactsOf(version)), ensureCertificate()]);
    if (zookeeper) return;
    await ensureCached(template, (to) =>
      timed(`formatted the storage of ${root}`, async () => {
        writeFileSync(join(to, 'log4j.properties'), LOG4J1);
        const properties = join(to, 'format.properties');
        const ports = Object.fromEntries(listenersOf.map((it, index) => [port(1, it), 1000 + index]));
        writeFileSync(properties, brokerProperties({ ...shape, id: 1, ports, logs: join(to, 'logs') }));
        const users = scram
          ? ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((it) => ['--add-scram', `${it}=[name=${SASL.user},password=${SASL.password}]`])
          : [];
        const args = ['format', '-t', CLUSTER_ID, '-c', properties, ...users];
        await run(runtime.java, java(to, TOOL, 'kafka.tools.StorageTool', args), { env: { ...process.env, ...runtime.env } });
      }),
    );
  }

  const shape = { version, nodes: ids, port, proxiedOf, scram, zookeeper: zookeeper && `${name}.zookeeper` };

  const broker = (id) => {
    const own = join(folder, String(id));
    const logs = join(own, 'logs');
    return {
      name: `node ${id}`,
      folder: own,
      portNames: listenersOf.map((listener) => port(id, listener)),
      async prepare(ports) {
        if (!zookeeper && !existsSync(logs)) {
          rmSync(`${logs}.new`, { recursive: true, force: true });
          await run('cp', ['-R', join(cached(template), 'logs'), `${logs}.new`]);
          const meta = join(`${logs}.new`, 'meta.properties');
          const text = readFileSync(meta, 'utf8').replace(/^node\.id=.*/m, `node.id=${id}`);
          writeFileSync(meta, text.replace(/^directory\.id=.*/m, `directory.id=${randomBytes(16).toString('base64url')}`));
          await rename(`${logs}.new`, logs);
        }
        mkdirSync(logs, { recursive: true });
        writeFileSync(join(own, 'log4j.properties'), LOG4J1);
        writeFileSync(join(own, 'server.properties'), brokerProperties({ ...shape, id, ports, logs }));
      },
      async command() {
        const runtime = await ensureJava();
        const heap = nodes > 1 ? ['-Xms64m', '-Xmx384m'] : ['-Xms96m', '-Xmx512m'];
        return {
          file: runtime.java,
          args: java(own, [...heap, ...SERIAL], 'kafka.Kafka', [join(own, 'server.properties')]),
          env: runtime.env,
        };
      },
      answers: async (ports) => {
        const live = await liveBrokers(ports[port(id, 'plain')]);
        return live !== undefined && ids.every((it) => live.includes(it));
      },
    };
  };

  const keeper = {
    name: 'zookeeper',
    folder: join(folder, 'zookeeper'),
    portNames: [`${name}.zookeeper`],
    prepare(ports) {
      const settings = {
        dataDir: join(this.folder, 'data'),
        clientPort: ports[`${name}.zookeeper`],
        clientPortAddress: '127.0.0.1',
        'admin.enableServer': false,
      };
      writeFileSync(join(this.folder, 'log4j.properties'), LOG4J1);
      writeFileSync(
        join(this.folder, 'zookeeper.properties'),
        Object.entries(settings)
          .map(([it, value]) => `${it}=${value}\n`)
          .join(''),
      );
    },
    async command() {
      const runtime = await ensureJava();
      const main = 'org.apache.zookeeper.server.quorum.QuorumPeerMain';
      const args = [join(this.folder, 'zookeeper.properties')];
      return { file: runtime.java, args: java(this.folder, ['-Xmx128m', ...SERIAL], main, args), env: runtime.env };
    },
    answers: (ports) =>
      ask(ports[`${name}.zookeeper`], 'srvr', (bytes) => (bytes.length < 4 ? undefined : bytes.toString('latin1', 0, 4) === 'Zook')),
  };

  return {
    name,
    key,
    folder,
    missing: () => (existsSync(cached(root)) && !missingForJava().length ? [] : missingForJava()),
    install,
    stages: zookeeper ? [[keeper], ids.map(broker)] : [ids.map(broker)],
    environment(ports) {
      const prefix = key.slice(0, -'_BROKERS'.length);
      const list = (listener, host = '127.0.0.1') => ids.map((id) => `${host}:${ports[port(id, listener)]}`).join(',');
      const lists = (suffix) => proxiedOf.map((it) => list(`${it}${suffix}`)).join(',');
      return {
        [key]: list('plain'),
        [`${prefix}_SASL_BROKERS`]: list('sasl'),
        [`${prefix}_SSL_BROKERS`]: list('ssl', 'localhost'),
        [`${prefix}_SSL_CA`]: join(cached('certificate'), 'ca.pem'),
        [`${prefix}_SASL_USER`]: SASL.user,
        [`${prefix}_SASL_PASSWORD`]: SASL.password,
        [`${prefix}_PROXIED_BROKERS`]: lists(''),
        [`${prefix}_PROXIED_ADVERTISED`]: lists('.advertised'),
      };
    },
  };
}

// 4.x logs through log4j 2, older ones through log4j 1's successor; without a binding every start warns.
function artifactsOf(version) {
  const logging = version.startsWith('4.')
    ? ['org.apache.logging.log4j', 'log4j-slf4j-impl', '2.25.5']
    : ['org.slf4j', 'slf4j-reload4j', '1.7.36'];
  return [['org.apache.kafka', 'kafka_2.13', version], logging];
}
