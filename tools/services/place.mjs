// Where everything lies. Real paths: a running server is recognised by its working directory.
import { mkdirSync, realpathSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const CHECKOUT = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

/** Folder of this checkout's data, ports and logs. */
export const STATE = folder(join(CHECKOUT, '.services'));

/** Folder of the unpacked servers, jars and initialised templates; clones may share it. */
export const CACHE = folder(process.env['TXBOX_SERVICES_CACHE'] ? resolve(process.env['TXBOX_SERVICES_CACHE']) : join(STATE, 'cache'));

/** The checkout itself, where `compose.yaml` is. */
export const ROOT = realpathSync(CHECKOUT);

function folder(path) {
  mkdirSync(path, { recursive: true });
  return realpathSync(path);
}
