// RabbitMQ of a Debian suite, with an own port mapper (epmd), so that it never meets the machine's Erlang.
import { createHash, randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages, linkLibraries, missingForApt } from './apt.mjs';
import { cached } from './package-cache.mjs';
import { STATE } from './place.mjs';
import { ask } from './probe.mjs';
import { stopIn } from './process.mjs';

const PLUGINS = fileURLToPath(new URL('rabbitmq-plugins', import.meta.url));
const ERLANG_ROOT = 'SERVICES_ERLANG_ROOT';

/** RabbitMQ of a Debian suite. */
export function rabbitmq(name, suite) {
  const root = `rabbitmq-${suite}`;
  const folder = join(STATE, name);
  const key = `TXBOX_TEST_${name.toUpperCase()}_URL`;
  const mapperPort = `${name}.epmd`;
  const nodePort = `${name}.node`;

  const environment = (ports) => {
    const server = withoutSpaces(cached(root));
    const own = withoutSpaces(join(folder, 'node'));
    const erlang = `${server}/usr/lib/erlang`;
    return {
      PATH: [rabbitScripts(server), `${erlang}/bin`, process.env['PATH']].join(':'),
      HOME: own,
      [ERLANG_ROOT]: erlang,
      // Erlang starts helpers by path, so it runs with the machine's libc and the other libraries of the packages.
      LD_LIBRARY_PATH: `${server}/libraries`,
      ERL_EPMD_PORT: String(ports[mapperPort]),
      ERL_EPMD_ADDRESS: '127.0.0.1',
      RABBITMQ_NODENAME: 'test@localhost',
      RABBITMQ_NODE_IP_ADDRESS: '127.0.0.1',
      RABBITMQ_NODE_PORT: String(ports[name]),
      RABBITMQ_DIST_PORT: String(ports[nodePort]),
      RABBITMQ_MNESIA_BASE: `${own}/data`,
      RABBITMQ_LOG_BASE: `${own}/log`,
      RABBITMQ_CONFIG_FILE: `${own}/rabbitmq.conf`,
      RABBITMQ_ADVANCED_CONFIG_FILE: `${own}/advanced.config`,
      RABBITMQ_GENERATED_CONFIG_DIR: `${own}/generated`,
      RABBITMQ_ENABLED_PLUGINS_FILE: `${own}/enabled_plugins`,
      RABBITMQ_PID_FILE: `${own}/server.pid`,
      RABBITMQ_CONF_ENV_FILE: '/dev/null',
      // Without these the node listens on every address, and its idle schedulers spin.
      RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS: '-kernel inet_dist_use_interface {127,0,0,1} +sbwt none +sbwtdcpu none +sbwtdio none',
    };
  };

  const mapper = {
    name: 'port mapper',
    folder: join(folder, 'epmd'),
    portNames: [mapperPort],
    prepare: () => undefined,
    command: (ports) => ({ file: mapperProgram(cached(root)), args: ['-port', String(ports[mapperPort])], env: environment(ports) }),
    // The request for the names of its nodes.
    answers: (ports) => ask(ports[mapperPort], Buffer.from([0, 1, 0x6e]), (bytes) => (bytes.length < 4 ? undefined : true)),
  };

  const node = {
    name: 'node',
    folder: join(folder, 'node'),
    portNames: [name, nodePort],
    prepare(ports) {
      for (const sub of ['data', 'log', 'generated']) mkdirSync(join(this.folder, sub), { recursive: true });
      rmSync(join(this.folder, 'server.pid'), { force: true });
      copyFileSync(PLUGINS, join(this.folder, 'enabled_plugins'));
      const cookie = join(this.folder, '.erlang.cookie');
      if (!existsSync(cookie)) writeFileSync(cookie, randomBytes(15).toString('hex'), { mode: 0o600 });
      const settings = [
        `listeners.tcp.1 = 127.0.0.1:${ports[name]}`,
        'default_user = test',
        'default_pass = test',
        'default_vhost = test',
        ...['configure', 'read', 'write'].map((right) => `default_permissions.${right} = .*`),
        'vm_memory_high_watermark.absolute = 512MB',
        'disk_free_limit.absolute = 50MB',
      ];
      writeFileSync(join(this.folder, 'rabbitmq.conf'), `${settings.join('\n')}\n`);
    },
    command: (ports) => ({ file: join(rabbitScripts(withoutSpaces(cached(root))), 'rabbitmq-server'), args: [], env: environment(ports) }),
    // A wrong protocol version is answered with the right one: method frame (1) or the header itself.
    answers: (ports) => ask(ports[name], Buffer.from('AMQP\0\0\t\x01', 'latin1'), (bytes) => bytes[0] === 1, 5000),
    // The process that was started is a shell around the node.
    stop: () => stopIn(join(folder, 'node'), name, { pidOf: (shell) => numberIn(join(folder, 'node/server.pid')) ?? shell }),
  };

  return {
    name,
    key,
    folder,
    missing: () => (existsSync(cached(root)) ? [] : missingForApt()),
    install: () =>
      ensurePackages(root, suite, ['rabbitmq-server'], {
        complete: (to) => {
          linkLibraries(to);
          const erl = join(to, 'usr/lib/erlang/bin/erl');
          writeFileSync(erl, readFileSync(erl, 'utf8').replace(/^(\s*)ROOTDIR=\/.*$/gm, `$1ROOTDIR="$$${ERLANG_ROOT}"`));
        },
      }),
    stages: [[mapper], [node]],
    containers: { ports: { [name]: [{ port: name, inside: 5672 }] } },
    environment: (ports) => ({ [key]: `amqp://test:test@127.0.0.1:${ports[name]}/test` }),
  };
}

// The scripts of the package's `bin` are for root and an own user; these are the server's.
function rabbitScripts(folder) {
  const base = join(folder, 'usr/lib/rabbitmq/lib');
  return join(
    base,
    readdirSync(base).find((entry) => entry.startsWith('rabbitmq_server-')),
    'sbin',
  );
}

function mapperProgram(folder) {
  const base = join(folder, 'usr/lib/erlang');
  return join(
    base,
    readdirSync(base).find((entry) => entry.startsWith('erts-')),
    'bin/epmd',
  );
}

// RabbitMQ's scripts do not survive white space in paths.
function withoutSpaces(path) {
  if (!/\s/.test(path)) return path;
  const link = join(tmpdir(), `txbox-services-${userInfo().uid}-${createHash('sha256').update(path).digest('hex').slice(0, 12)}`);
  rmSync(link, { force: true });
  symlinkSync(path, link);
  return link;
}

function numberIn(file) {
  try {
    return Number(readFileSync(file, 'utf8')) || undefined;
  } catch {
    return undefined;
  }
}
