import { checkOptions, type ErrorCode, integerWithin, type OptionRule, text } from '@txbox/core/spi';

/** Where a relay is watched; the section `http` of a configuration. */
export interface HttpOptions {
  /** Address to listen on. Default `127.0.0.1`: only this host, or this pod. It is plain HTTP without a password. */
  readonly host?: string;
  /** TCP port, 0 = any free one. Default 9464. */
  readonly port?: number;
}

const HTTP_OPTION_RULES: { readonly [Name in keyof HttpOptions]-?: OptionRule } = {
  host: text,
  port: integerWithin(0, 65_535),
};

const HTTP_DEFAULTS: Required<HttpOptions> = { host: '127.0.0.1', port: 9464 };

/** Checks the options and fills in defaults. Throws `OPTIONS_INVALID`, or `code`, with all problems at once. */
export function resolveHttpOptions(what: string, options: unknown, code: ErrorCode = 'OPTIONS_INVALID'): Required<HttpOptions> {
  return checkOptions<Required<HttpOptions>>(what, options, { rules: HTTP_OPTION_RULES, defaults: HTTP_DEFAULTS, code });
}
