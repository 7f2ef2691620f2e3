// MariaDB and MySQL. A server's data folder is a copy of a template that is initialised once per unpacked server.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { rename } from 'node:fs/promises';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ensurePackages, missingForApt, withLoader } from './apt.mjs';
import { ensureJars } from './jars.mjs';
import { missingForJava } from './java.mjs';
import { cached, ensureCached } from './package-cache.mjs';
import { STATE } from './place.mjs';
import { ask } from './probe.mjs';
import { timed } from './progress.mjs';
import { run } from './run.mjs';
import { readFromZip } from './zip.mjs';

const REDO_LOG = '--innodb-log-file-size=64M';

// One statement a line: that is how both servers read such files. It runs before the port opens.
const INIT = fileURLToPath(new URL('init.sql', import.meta.url));

/** A server that loses and lets pass what it may, for tests of those who look at settings; they also set further ones, so nobody else uses it. */
const CARELESS = ['--innodb-flush-log-at-trx-commit=2', '--sync-binlog=0', '--binlog-format=STATEMENT', '--sql-mode='];

/** MariaDB of a Debian suite. */
export function mariadb(name, suite, { careless = false } = {}) {
  const root = `mariadb-${suite}`;
  const flavour = {
    missing: missingForApt,
    unpack: () => ensurePackages(root, suite, ['mariadb-server-core']),
    command: (folder, args) => withLoader(folder, 'usr/sbin/mariadbd', [...debianFolders(folder), REDO_LOG, ...args]),
    options: [],
    initialise: async (command, data, folder) => {
      mkdirSync(data);
      // What the install script of the package does, without its shell and its users.
      const share = shareOf(folder);
      const parts = ['system_tables', 'performance_tables', 'system_tables_data', 'maria_add_gis_sp_bootstrap', 'sys_schema'];
      const scripts = parts.map((part) =>
        readFileSync(
          join(
            share,
            readdirSync(share).find((it) => it.endsWith(`${part}.sql`)),
          ),
        ),
      );
      const input = ['create database if not exists mysql;\nuse mysql;\nset @auth_root_socket=NULL;\n', ...scripts].join('\n');
      const bootstrap = ['--bootstrap', '--log-warnings=0', '--enforce-storage-engine=', '--max-allowed-packet=8M'];
      const { file, args } = command(bootstrap);
      await run(file, args, { input });
    },
  };
  return sqlServer(name, root, flavour, careless);
}

/** MySQL of a Debian suite. */
export function mysqlOfDebian(name, suite, { careless = false } = {}) {
  const root = `mysql-${suite}`;
  const flavour = {
    missing: missingForApt,
    unpack: () => ensurePackages(root, suite, ['mysql-server-core']),
    command: (folder, args) => withLoader(folder, 'usr/sbin/mysqld', [...debianFolders(folder), ...args]),
    options: ['--mysqlx=OFF', ...MYSQL],
    initialise: initialiseMysql,
  };
  return sqlServer(name, root, flavour, careless);
}

/** MySQL out of a jar that carries the server, for versions that no distribution has any more. */
export function mysqlOfJar(name, version, artifact, options) {
  const root = `mysql-${version}`;
  return sqlServer(name, root, {
    missing: async () => (process.arch === 'x64' ? [...missingForApt(), ...(await missingForJava())] : ['an x86-64 processor']),
    unpack: async () => {
      if (existsSync(cached(root))) return cached(root);
      const [jars] = await Promise.all([
        ensureJars(`${root}-jar`, [artifact], { alone: true }),
        // The server is built against libraries that machines seldom have (libaio).
        ensurePackages(LIBRARIES, 'bookworm', ['libaio1', 'libnuma1', 'libstdc++6']),
      ]);
      const folder = await ensureCached(root, async (to) => {
        const archive = join(to, 'server.tar.gz');
        writeFileSync(archive, readFromZip(join(jars, readdirSync(jars)[0]), 'mysql-Linux-amd64.tar.gz'));
        await run('tar', ['-xzf', archive, '-C', to, '--no-same-owner']);
        rmSync(archive);
      });
      rmSync(jars, { recursive: true, force: true });
      return folder;
    },
    command: (folder, args) => {
      const options = ['--no-defaults', `--basedir=${folder}`, `--lc-messages-dir=${folder}/share`, REDO_LOG];
      return withLoader(cached(LIBRARIES), join(folder, 'bin/mysqld'), [...options, ...args]);
    },
    options: [...options, ...MYSQL],
    initialise: initialiseMysql,
  });
}

const LIBRARIES = 'libraries-bookworm';
const MYSQL = ['--gtid-mode=ON', '--enforce-gtid-consistency=ON', '--table-open-cache=400', '--table-definition-cache=400'];

async function initialiseMysql(command, data) {
  const { file, args } = command(['--initialize-insecure', '--skip-log-bin']);
  await run(file, args);
  rmSync(join(data, 'auto.cnf'), { force: true }); // the server's uuid must differ between copies
}

function debianFolders(folder) {
  const share = shareOf(folder);
  const plugins = `--plugin-dir=${folder}/usr/lib/mysql/plugin`;
  return ['--no-defaults', `--basedir=${folder}/usr`, `--lc-messages-dir=${share}`, `--character-sets-dir=${share}/charsets`, plugins];
}

function shareOf(folder) {
  return ['mariadb', 'mysql'].map((it) => join(folder, 'usr/share', it)).find((it) => existsSync(join(it, 'charsets')));
}

function sqlServer(name, root, { missing, unpack, command, options, initialise }, careless = false) {
  const key = `TXBOX_TEST_${name.toUpperCase().replace('-', '_')}_URL`;
  const template = `${root}-data`;
  const folder = join(STATE, name);
  const data = join(folder, 'data');
  const common = (to) => [`--user=${userInfo().username}`, `--datadir=${to}`, '--secure-file-priv='];

  async function install() {
    const server = await unpack();
    await ensureCached(template, (to) =>
      timed(`initialised ${root}`, async () => {
        const fresh = join(to, 'data');
        await initialise((args) => command(server, [...common(fresh), ...args]), fresh, server);
      }),
    );
  }

  const server = {
    name: 'server',
    folder,
    portNames: [name],
    async prepare() {
      if (!existsSync(data)) {
        rmSync(`${data}.new`, { recursive: true, force: true });
        await run('cp', ['-R', '--sparse=always', '--reflink=auto', join(cached(template), 'data'), `${data}.new`]);
        await rename(`${data}.new`, data);
      }
      // A lock left by SIGKILL names a pid that may live again, and then stops the server from starting.
      for (const left of ['s.sock', 's.sock.lock']) rmSync(join(data, left), { force: true });
    },
    command(ports) {
      return command(cached(root), [
        ...common(data),
        ...options,
        `--port=${ports[name]}`,
        `--server-id=${ports[name]}`,
        '--bind-address=127.0.0.1',
        '--socket=s.sock', // relative to the data folder: socket paths may not be long
        `--pid-file=${folder}/server.pid`,
        `--log-error=${folder}/server.log`,
        `--init-file=${INIT}`,
        '--log-bin=bin',
        '--binlog-format=ROW',
        '--sync-binlog=1',
        '--innodb-flush-log-at-trx-commit=1',
        '--innodb-buffer-pool-size=128M',
        '--max-allowed-packet=64M',
        '--max-connections=500',
        '--character-set-server=utf8mb4',
        '--default-time-zone=+00:00',
        '--skip-name-resolve',
        ...(careless ? CARELESS : []), // of an option given twice the last one counts
      ]);
    },
    // The greeting: length in three bytes, sequence 0, protocol 10. An error packet has 0xff there.
    answers: (ports) => ask(ports[name], undefined, (bytes) => (bytes.length < 5 ? undefined : bytes[4] === 10)),
  };

  return {
    name,
    key,
    folder,
    missing: () => (existsSync(cached(template)) ? [] : missing()),
    install,
    stages: [[server]],
    containers: { ports: { [name]: [{ port: name, inside: 3306 }] } },
    environment: (ports) => ({ [key]: `mysql://test:test@127.0.0.1:${ports[name]}/test` }),
  };
}
