import type { Command, ConfigSection, MigrationComponent, PublisherKind } from '@txbox/core/spi';

/** Packages that may bring something, in the order in which help lists their commands. */
const PACKAGES = ['core', 'outbox', 'kafka', 'embedded', 'relay', 'inbox'] as const;

/** What the installed packages bring. */
export interface Installed {
  readonly commands: readonly Command[];
  readonly components: readonly MigrationComponent[];
  /** Sections of the configuration. */
  readonly sections: readonly ConfigSection[];
  /** Publishers that a configuration may describe as data. */
  readonly publishers: readonly PublisherKind[];
  /** One line for `--help` on each word that has commands below it. */
  readonly groups: Readonly<Record<string, string>>;
}

/** Imports a module if its package is installed; what fails inside an installed one is thrown. */
async function importInstalled(module: string): Promise<Record<string, unknown> | undefined> {
  try {
    return (await import(module)) as Record<string, unknown>;
  } catch (error) {
    const name = module.split('/').slice(0, 2).join('/');
    const code = (error as { code?: unknown }).code;
    if (code === 'ERR_MODULE_NOT_FOUND' && error instanceof Error && error.message.includes(`'${name}'`)) return undefined;
    throw error;
  }
}

/** Gathers what the installed packages export from their `/commands` entries. */
export async function findInstalled(): Promise<Installed> {
  const modules = await Promise.all(PACKAGES.map((name) => importInstalled(`@txbox/${name}/commands`)));
  const found = modules.filter((module) => module !== undefined) as Partial<Installed>[];
  return {
    commands: found.flatMap((module) => module.commands ?? []),
    components: found.flatMap((module) => module.components ?? []),
    sections: found.flatMap((module) => module.sections ?? []),
    publishers: found.flatMap((module) => module.publishers ?? []),
    groups: Object.assign({}, ...found.map((module) => module.groups)) as Record<string, string>,
  };
}
