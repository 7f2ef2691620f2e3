// ZooKeeper beside a broker of the time before KRaft.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { javaCommand, runTool } from './kafka-program.mjs';
import { SASL } from './kafka-properties.mjs';
import { ask } from './probe.mjs';
import { ServicesError } from './progress.mjs';
import { sleep } from './run.mjs';

/** The ZooKeeper server of a Kafka service; `portName` is the name of its port. */
export function zookeeper(version, folder, portName) {
  const properties = join(folder, 'zookeeper.properties');
  return {
    name: 'zookeeper',
    folder,
    portNames: [portName],
    prepare(ports) {
      const settings = [
        `dataDir=${join(folder, 'data').replaceAll('\\', '\\\\')}`,
        `clientPort=${ports[portName]}`,
        'clientPortAddress=127.0.0.1',
        'admin.enableServer=false',
        '4lw.commands.whitelist=srvr,dump',
      ];
      writeFileSync(properties, `${settings.join('\n')}\n`);
    },
    command: () => javaCommand(version, folder, ['-Xmx128m'], 'org.apache.zookeeper.server.quorum.QuorumPeerMain', [properties]),
    answers: (ports) =>
      ask(ports[portName], 'srvr', (text) => (text.length < 9 ? undefined : text.toString('latin1', 0, 9) === 'Zookeeper')),
  };
}

/** Waits until no broker is registered: the entry of one that was killed stays for its session's time, and a second is refused. */
export async function untilNoBroker(port) {
  const deadline = performance.now() + 60_000;
  for (;;) {
    const sessions = await ask(port, 'dump', (text, ended) => (ended ? text.toString('latin1') : undefined));
    if (sessions !== undefined && !sessions.includes('/brokers/ids/')) return;
    if (performance.now() > deadline) throw new ServicesError('ZooKeeper keeps the registration of a broker that is gone');
    await sleep(100);
  }
}

/** Creates the account of the SASL listeners, once: `done` is a file that says so. */
export async function ensureScramUser(version, folder, port) {
  const done = join(folder, 'scram-user');
  if (existsSync(done)) return;
  const credentials = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].map((mechanism) => `${mechanism}=[password=${SASL.password}]`).join(',');
  const args = ['--zookeeper', `127.0.0.1:${port}`, '--alter', '--add-config', credentials];
  await runTool(version, folder, 'kafka.admin.ConfigCommand', [...args, '--entity-type', 'users', '--entity-name', SASL.user]);
  writeFileSync(done, '');
}
