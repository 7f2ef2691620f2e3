import { checkOptions, integerWithin, type OptionChecks, text } from '@txbox/core/spi';

/** Where a relay is watched; the section `http` of a configuration. */
export interface HttpOptions {
  /** Address to listen on. Default `127.0.0.1`: only this host, or this pod. It is plain HTTP without a password. */
  readonly host?: string;
  /** TCP port, 0 = any free one. Default 9464. */
  readonly port?: number;
}

/** Rules and defaults of {@link HttpOptions}. */
export const HTTP_SECTION: OptionChecks<Required<HttpOptions>> = {
  rules: { host: text, port: integerWithin(0, 65_535) },
  defaults: { host: '127.0.0.1', port: 9464 },
};

/** Checks the options and fills in defaults. Throws `OPTIONS_INVALID` with all problems at once. */
export function resolveHttpOptions(what: string, options: unknown): Required<HttpOptions> {
  return checkOptions<Required<HttpOptions>>(what, options, HTTP_SECTION);
}
