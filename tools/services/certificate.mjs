// An own certificate authority and one server certificate for localhost and 127.0.0.1, made with the keytool of Java.
import { join } from 'node:path';
import { ensureJava } from './java.mjs';
import { ensureCached } from './package-cache.mjs';
import { run } from './run.mjs';

const KEY = ['-keyalg', 'RSA', '-keysize', '2048', '-validity', '3650'];
const AUTHORITY = ['-dname', 'CN=txbox test authority', '-ext', 'bc:c=ca:true', '-ext', 'ku:c=keyCertSign'];
const SERVER = ['-dname', 'CN=localhost', '-ext', 'san=dns:localhost,ip:127.0.0.1', '-signer', 'ca'];

/**
 * The cache entry with `ca.pem` for clients and `server.p12` (password `changeit`) for brokers. `keytool` runs that
 * program with arguments that name files of the given folder; by default with this machine's Java.
 */
export function ensureCertificate(keytool = async (args) => run((await ensureJava()).keytool, args)) {
  return ensureCached('certificate', async (folder) => {
    const store = ['-keystore', join(folder, 'server.p12'), '-storetype', 'PKCS12', '-storepass', 'changeit', '-keypass', 'changeit'];
    const call = (...args) => keytool(['-J-XX:TieredStopAtLevel=1', ...args, ...store], folder);
    await call('-genkeypair', '-alias', 'ca', ...AUTHORITY, ...KEY);
    await call('-exportcert', '-rfc', '-alias', 'ca', '-file', join(folder, 'ca.pem'));
    await call('-genkeypair', '-alias', 'server', ...SERVER, ...KEY);
    await call('-delete', '-alias', 'ca'); // a broker takes any key it finds
  });
}
