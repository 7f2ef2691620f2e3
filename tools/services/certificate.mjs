// An own certificate authority and one server certificate for localhost and 127.0.0.1, made with the keytool of Java.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { ensureJava } from './java.mjs';
import { ensureCached } from './package-cache.mjs';
import { run } from './run.mjs';

/** The cache entry with `ca.pem` for clients and `server.p12` (password `changeit`) for brokers. */
export async function ensureCertificate() {
  const { java, env } = await ensureJava();
  return ensureCached('certificate', async (folder) => {
    const store = join(folder, 'server.p12');
    const keytool = (...args) => {
      const common = ['-keystore', store, '-storetype', 'PKCS12', '-storepass', 'changeit', '-keypass', 'changeit'];
      return run(java.replace(/java$/, 'keytool'), ['-J-XX:TieredStopAtLevel=1', ...args, ...common], { env: { ...process.env, ...env } });
    };
    const key = ['-keyalg', 'RSA', '-keysize', '2048', '-validity', '3650'];
    const names = 'san=dns:localhost,ip:127.0.0.1';
    await keytool(
      '-genkeypair',
      '-alias',
      'ca',
      '-dname',
      'CN=txbox test authority',
      '-ext',
      'bc:c=ca:true',
      '-ext',
      'ku:c=keyCertSign',
      ...key,
    );
    await keytool('-exportcert', '-rfc', '-alias', 'ca', '-file', join(folder, 'ca.pem'));
    await keytool('-genkeypair', '-alias', 'server', '-signer', 'ca', '-dname', 'CN=localhost', '-ext', names, ...key);
    await keytool('-delete', '-alias', 'ca'); // a broker takes any key it finds
    rmSync(`${store}.old`, { force: true });
  });
}
