import { expect, it } from 'vitest';
import { consoleSocket } from './guest-console.ts';

it('a guest’s name cannot lead out of the directory of consoles', () => {
  for (const name of ['../x', 'a/b', '', 'A', '.hidden']) {
    expect(() => consoleSocket(name)).toThrow(expect.objectContaining({ code: 'E_NAME' }));
  }
  expect(consoleSocket('web')).toMatch(/nexus\/web\.console$/);
});
