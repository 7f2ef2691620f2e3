// Debian packages without root and without touching the machine: the ordinary apt client with a private configuration
// (the machine's own mirror, keyring, proxy and TLS settings) downloads packages and their whole dependency closure,
// libc included; dpkg-deb unpacks them into one folder, and programs run with that folder's own loader and libraries.
import { existsSync, mkdirSync, readdirSync, readlinkSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { ensureCached, scratchFolder } from './package-cache.mjs';
import { ServicesError, say, timed } from './progress.mjs';
import { inParallel, onPath, run } from './run.mjs';

const KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg';

// What maintainer scripts, shells and manuals need, but no server.
const UNNEEDED = new RegExp(
  `^(${[
    'gcc-.*-base|perl.*|libperl.*|lib.*-perl|libgdbm.*|libdb5.*|dpkg|tar|usrmerge|init-system-helpers|sysvinit-utils',
    'libaudit.*|libcap-ng0|debconf|libpam.*|lsb-base|libsem.*|libsepol.*|passwd|adduser|cron.*|sensible-utils|python3.*',
    'libpython.*|media-types|logrotate|procps|libproc2.*|readline-common|libreadline.*|libsqlite3-0|openssl|socat|libwrap0',
    'libpopt0|libmd0|libacl1|mysql-common|mariadb-common|redis-server|libtirpc-common|coreutils|bash|dash|debianutils',
  ].join('|')})$`,
);

/** What this machine lacks for unpacking Debian packages; empty when nothing. */
export function missingForApt() {
  const missing = ['apt-get', 'apt-config', 'dpkg-deb', 'flock'].filter((program) => !onPath(program));
  if (!existsSync(KEYRING)) missing.push(`${KEYRING} (package debian-archive-keyring)`);
  return missing;
}

/**
 * Unpacks `packages` of a Debian suite, with what they depend on and servers need (or `only` what matches), into the
 * cache entry `name`, and lets `complete` finish the folder. Returns the folder.
 */
export function ensurePackages(name, suite, packages, { only, complete } = {}) {
  return ensureCached(name, (folder) =>
    timed(`unpacked ${name}`, async () => {
      const env = await configurationOf(suite);
      const plan = await run('apt-get', ['-s', 'install', ...packages], { env });
      const names = [...plan.matchAll(/^Inst (\S+)/gm)]
        .map((match) => match[1])
        .filter((it) => (only ? only.test(it) : !UNNEEDED.test(it)));
      const archives = join(folder, '.archives');
      mkdirSync(archives);
      const download = () => run('apt-get', ['-qq', 'download', ...names], { env, cwd: archives });
      await download().catch(async (error) => {
        // A moving suite replaced a package since the index was read.
        say(`${name}: download failed, trying again with a fresh index (${error.message.split('\n').at(-1)})`);
        await run('apt-get', ['-qq', 'update'], { env });
        await download();
      });
      const files = readdirSync(archives);
      await inParallel(files, 2, (file) => run('dpkg-deb', ['-x', join(archives, file), folder]));
      for (const unused of ['doc', 'man', 'locale', 'lintian']) rmSync(join(folder, 'usr/share', unused), { recursive: true, force: true });
      rmSync(archives, { recursive: true });
      keepLinksInside(folder, folder);
      complete?.(folder);
      return `${files.length} packages of ${suite}`;
    }),
  );
}

/** The command that runs a program (a path, or one inside the folder) with the loader and libraries of an unpacked folder. */
export function withLoader(folder, program, args) {
  const loader = libraryFolders(folder)
    .flatMap((libraries) => (existsSync(libraries) ? readdirSync(libraries).map((file) => join(libraries, file)) : []))
    .find((file) => /\/ld-linux-[^/]*\.so\.\d+$/.test(file));
  if (!loader) throw new ServicesError(`${folder}: no dynamic loader among the unpacked packages; remove the folder and try again`);
  return { file: loader, args: ['--library-path', libraryFolders(folder).join(':'), resolve(folder, program), ...args] };
}

/** Folders of an unpacked folder that hold shared libraries. */
function libraryFolders(folder) {
  const machine = { x64: 'x86_64', arm64: 'aarch64' }[process.arch] ?? process.arch;
  return ['usr/lib', 'lib'].map((base) => join(folder, base, `${machine}-linux-gnu`));
}

/**
 * Links the folder's libraries, without those of libc itself, into its sub-folder `libraries`: for programs that start
 * others by path and so run with the machine's loader and libc.
 */
export function linkLibraries(folder) {
  const links = join(folder, 'libraries');
  mkdirSync(links, { recursive: true });
  for (const libraries of libraryFolders(folder)) {
    if (!existsSync(libraries)) continue;
    for (const file of readdirSync(libraries)) {
      if (!/\.so(\.|$)/.test(file) || LIBC.test(file) || existsSync(join(links, file))) continue;
      symlinkSync(join('..', libraries.slice(folder.length), file), join(links, file));
    }
  }
}

const LIBC =
  /^(ld-linux.*|lib(c|m|mvec|pthread|dl|rt|util|resolv|nsl|anl|thread_db|nss_.*|BrokenLocale|c_malloc_debug|memusage|pcprofile))\.so/;

const indexes = new Map();

/** Removes the package indexes that this call has read: they are large and grow stale. */
export function dropIndexes() {
  for (const { folder } of indexes.values()) rmSync(folder, { recursive: true, force: true });
  indexes.clear();
}

// One index per suite and call, shared by all that is unpacked from this suite.
function configurationOf(suite) {
  if (!indexes.has(suite)) {
    const folder = scratchFolder(`apt-${suite}`);
    indexes.set(suite, { folder, ready: configure(folder, suite) });
  }
  return indexes.get(suite).ready;
}

async function configure(folder, suite) {
  const mirror = await machineMirror();
  for (const sub of ['etc', 'lists/partial', 'archives/partial']) mkdirSync(join(folder, sub), { recursive: true });
  writeFileSync(join(folder, 'status'), ''); // nothing counts as installed: the closure is complete
  const source = [`Types: deb`, `URIs: ${mirror}`, `Suites: ${suite}`, `Components: main`, `Signed-By: ${KEYRING}`, ''];
  writeFileSync(join(folder, 'etc/suite.sources'), source.join('\n'));
  const inherited = (await run('apt-config', ['dump'])).split('\n').filter((line) => /^Acquire::(https?|Check-|Retries|Force)/.test(line));
  const settings = [
    ...inherited,
    'Dir::Etc::parts "/dev/null";', // machines carry hooks there that would run on our index
    'Dir::Etc::main "/dev/null";',
    'Dir::Etc::sourcelist "/dev/null";',
    `Dir::Etc::sourceparts "${folder}/etc";`,
    `Dir::State::lists "${folder}/lists";`,
    `Dir::State::status "${folder}/status";`,
    `Dir::Cache "${folder}";`,
    `Dir::Cache::archives "${folder}/archives";`,
    'Acquire::Languages "none";',
    'Acquire::PDiffs "false";',
    'APT::Sandbox::User "";',
    'APT::Install-Recommends "false";',
  ];
  writeFileSync(join(folder, 'apt.conf'), `${settings.join('\n')}\n`);
  const env = { ...process.env, APT_CONFIG: join(folder, 'apt.conf'), LC_ALL: 'C' };
  const update = () => run('apt-get', ['-qq', '-o', 'APT::Update::Error-Mode=any', 'update'], { env });
  await timed(`read the package index of ${suite}`, async () => void (await update().catch(update)));
  return env;
}

// Works with every format of sources, unprivileged, and on images whose package lists were deleted.
async function machineMirror() {
  const { APT_CONFIG: _, ...env } = process.env;
  const uris = await run('apt-get', ['update', '--print-uris'], { env });
  const suites = 'stable|testing|unstable|sid|bullseye|bookworm|trixie|forky';
  const mirror = new RegExp(`^'(\\S+)/dists/(?:${suites})(?:-updates)?/InRelease'`, 'm').exec(uris)?.[1];
  if (!mirror) throw new ServicesError("no Debian mirror in this machine's apt configuration");
  return mirror;
}

// Absolute links would lead out of the folder, to the machine's files or nowhere.
function keepLinksInside(folder, root) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) keepLinksInside(path, root);
    else if (entry.isSymbolicLink()) {
      const target = readlinkSync(path);
      if (!target.startsWith('/') || target.startsWith('/dev/')) continue;
      rmSync(path);
      // Relative, because the folder is moved into place afterwards.
      symlinkSync('../'.repeat(folder.slice(root.length).split('/').filter(Boolean).length) + target.slice(1), path);
    }
  }
}
