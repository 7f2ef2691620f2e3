import { expect, it } from 'vitest';
import { checkNode } from '../src/node-version.ts';

const RANGE = '^22.18.0 || >=24.11.0';

it.each(['20.20.2', '22.17.9', '23.11.0', '24.10.9'])('Node %s is refused by name', (version) => {
  expect(() => checkNode(version, RANGE)).toThrow(
    expect.objectContaining({ code: 'NODE_UNSUPPORTED', message: expect.stringContaining(version) }),
  );
});

it.each(['22.18.0', '22.30.1', '24.11.0', '24.21.0', '26.0.0', process.versions.node])('Node %s is not', (version) => {
  checkNode(version, RANGE);
});
