// Java and Maven: the machine's when they fit, else Debian packages unpacked like the servers.
import { createHash, X509Certificate } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import { ensurePackages, missingForApt } from './apt.mjs';
import { cached } from './package-cache.mjs';
import { onPath, run } from './run.mjs';

// Brokers before 3.9 use what Java 24 took away.
const LOWEST = 17;
const HIGHEST = 23;
const UNPACKED = 'java-bookworm';
const SYSTEM_CERTIFICATES = ['/etc/ssl/certs/ca-certificates.crt', '/etc/pki/tls/certs/ca-bundle.crt', '/etc/ssl/cert.pem'];

/** What this machine lacks for getting Java and Maven; empty when nothing. */
export async function missingForJava() {
  if (existsSync(cached(UNPACKED)) || (await ofMachine())) return [];
  const missing = missingForApt();
  return missing.length ? [`Java ${LOWEST} to ${HIGHEST} with Maven on PATH, or in their place: ${missing.join(', ')}`] : [];
}

let found;

/** Where Java is: `{ home, java, keytool, mvn }`; the machine's, else unpacked. */
export function ensureJava() {
  found ??= ofMachine().then((machine) => machine ?? unpack());
  return found;
}

async function ofMachine() {
  const mvn = onPath('mvn');
  if (!mvn) return undefined;
  for (const java of [process.env['JAVA_HOME'] && join(process.env['JAVA_HOME'], 'bin/java'), onPath('java')]) {
    if (!java || !existsSync(java)) continue;
    const settings = await run(java, ['-XshowSettings:properties', '-version'], { everything: true }).catch(() => '');
    const major = Number(/java\.specification\.version = (\d+)/.exec(settings)?.[1]);
    const home = /java\.home = (.+)/.exec(settings)?.[1];
    if (major >= LOWEST && major <= HIGHEST && home) return { home, java: join(home, 'bin/java'), keytool: join(home, 'bin/keytool'), mvn };
  }
  return undefined;
}

async function unpack() {
  const packages = ['openjdk-17-jre-headless', 'maven'];
  const folder = await ensurePackages(UNPACKED, 'bookworm', packages, {
    complete: (root) => {
      // The packages' scripts would make both: the trust store, and programs on PATH.
      const store = join(root, 'etc/ssl/certs/java/cacerts');
      rmSync(store, { force: true });
      mkdirSync(join(store, '..'), { recursive: true });
      writeFileSync(store, trustStore(trustedCertificates()));
      const jdk = readdirSync(join(root, 'usr/lib/jvm')).find((entry) => entry.startsWith('java-17-openjdk-'));
      mkdirSync(join(root, 'bin'), { recursive: true });
      for (const program of ['java', 'keytool']) writeProgram(join(root, 'bin', program), wrapperOf(`usr/lib/jvm/${jdk}/bin/${program}`));
      writeProgram(join(root, 'bin/mvn'), 'JAVACMD="$root/bin/java" MAVEN_SKIP_RC=1 exec sh "$root/usr/share/maven/bin/mvn" "$@"');
    },
  });
  return { home: folder, java: join(folder, 'bin/java'), keytool: join(folder, 'bin/keytool'), mvn: join(folder, 'bin/mvn') };
}

// The loader is found at run time, because the folder may be moved as a whole.
function wrapperOf(program) {
  return [
    'for loader in "$root"/usr/lib/*-linux-gnu/ld-linux-*.so.* "$root"/lib/*-linux-gnu/ld-linux-*.so.*; do [ -e "$loader" ] && break; done',
    'libraries=$(basename "$(dirname "$loader")")',
    `exec "$loader" --library-path "$root/usr/lib/$libraries:$root/lib/$libraries" "$root/${program}" "$@"`,
  ].join('\n');
}

function writeProgram(path, body) {
  writeFileSync(path, `#!/bin/sh\nroot=$(cd "$(dirname "$0")/.." && pwd -P)\n${body}\n`);
  chmodSync(path, 0o755);
}

function trustedCertificates() {
  const files = [...SYSTEM_CERTIFICATES, process.env['SSL_CERT_FILE'], process.env['NODE_EXTRA_CA_CERTS']];
  const bundles = files.filter((file) => file && existsSync(file)).map((file) => readFileSync(file, 'utf8'));
  const pems = [...bundles, ...rootCertificates].join('\n').match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  const ders = new Map();
  for (const pem of pems) {
    try {
      const { raw } = new X509Certificate(pem);
      ders.set(raw.toString('base64'), raw);
    } catch {
      // An odd certificate of the machine's bundle is not worth failing for.
    }
  }
  return [...ders.values()];
}

/** Java's own key store format with trusted certificates (DER) only, password `changeit`. */
function trustStore(certificates) {
  const text = (value) => Buffer.concat([uint(2, value.length), Buffer.from(value, 'latin1')]);
  const entries = certificates.map((der, index) =>
    Buffer.concat([uint(4, 2), text(`ca${index}`), Buffer.alloc(8), text('X.509'), uint(4, der.length), der]),
  );
  const content = Buffer.concat([uint(4, 0xfeedfeed), uint(4, 2), uint(4, certificates.length), ...entries]);
  const digest = createHash('sha1').update(Buffer.from('changeit', 'utf16le').swap16()).update('Mighty Aphrodite').update(content).digest();
  return Buffer.concat([content, digest]);
}

function uint(size, value) {
  const buffer = Buffer.alloc(size);
  buffer.writeUIntBE(value, 0, size);
  return buffer;
}
