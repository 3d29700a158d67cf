import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parseHostConfig } from './config.ts';
import { HostError } from './errors.ts';

const good = `state: ./state
verifier:
  url: http://127.0.0.1:8080
partitions:
  - name: vault
    kind: trusted
    image: vault.elf
    manifest: vault.manifest
    memory: 32 MiB
  - name: neighbour
    kind: standard
    image: neighbour.elf
    command-line: attack
channels:
  - [vault, neighbour]
`;

test('images and manifests are looked for before anything starts', () => {
  const asked: string[] = [];
  const isFile = (path: string) => asked.push(path) > 0 && !path.endsWith('neighbour.elf');
  expect(() => parseHostConfig(good, '/etc/host.yaml', isFile)).toThrow(
    '/etc/host.yaml:12:12: "neighbour.elf" is not there; expected a file',
  );
  expect(asked).toEqual(['/etc/vault.elf', '/etc/vault.manifest', '/etc/neighbour.elf']);
});

test('a release key is a file, by its absolute path', () => {
  const named = `release-key: keys/release.pub\n${good}`;
  expect(parseHostConfig(named, '/etc/host.yaml').releaseKey).toBe('/etc/keys/release.pub');
  expect(parseHostConfig(good, '/etc/host.yaml').releaseKey).toBeUndefined();
  expect(() => parseHostConfig(named, '/etc/host.yaml', (path) => !path.endsWith('.pub'))).toThrow(
    '/etc/host.yaml:1:14: "keys/release.pub" is not there; expected a file',
  );
});

const refusal = (text: string): string => {
  try {
    parseHostConfig(text, 'host.yaml');
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    expect(error.code).toBe('E_CONFIG');
    return error.message;
  }
  throw new Error('the file was accepted');
};

describe('host.yaml', () => {
  test('a good file becomes a configuration with absolute paths and defaults', () => {
    const config = parseHostConfig(good, '/etc/nexus/host.yaml');
    expect(config.stateDirectory).toBe('/etc/nexus/state');
    expect(config.engine).toBe('auto');
    expect(config.tpm).toBe('embedded');
    expect(
      config.partitions.map((p) => [p.name, p.kind, 'image' in p && p.image, p.memoryBytes, p.commandLine]),
    ).toEqual([
      ['vault', 'trusted', '/etc/nexus/vault.elf', 32 * 2 ** 20, ''],
      ['neighbour', 'standard', '/etc/nexus/neighbour.elf', 16 * 2 ** 20, 'attack'],
    ]);
    expect(config.channels).toEqual([['vault', 'neighbour']]);
  });

  test.each([
    [
      'a missing key',
      good.replace('state: ./state\n', ''),
      'host.yaml:1:1: missing "state"; expected the state directory',
    ],
    [
      'an unknown key',
      good.replace('memory:', 'memmory:'),
      'host.yaml:9:14: "memmory" is not known here; expected one of name, kind',
    ],
    ['a bad size', good.replace('32 MiB', '32 MB'), 'host.yaml:9:13: expected a size such as "16 MiB"'],
    ['a bad kind', good.replace('kind: trusted', 'kind: thrusted'), 'host.yaml:6:11: expected "trusted"'],
    ['a wrong type', good.replace('state: ./state', 'state: [a]'), 'host.yaml:1:8: expected the state directory'],
    [
      'a trusted partition without manifest',
      good.replace('    manifest: vault.manifest\n', ''),
      'host.yaml:5:5: expected a manifest',
    ],
    [
      'a channel to nobody',
      good.replace('[vault, n', '[vault, m'),
      'host.yaml:15:13: no partition is named "meighbour"',
    ],
    ['a name used twice', good.replace('name: neighbour', 'name: vault'), 'host.yaml:10:11: "vault" is used twice'],
    ['broken YAML', 'state: [', 'host.yaml:1:9: '],
    ['an alias', 'state: &a x\npartitions: *a', 'host.yaml:2:13: aliases are not used here'],
    ['endless nesting', '['.repeat(200_000), 'host.yaml'],
    ['an empty file', '', 'host.yaml:1:1: expected a mapping with state'],
  ])('%s is refused with line, column and what was expected', (_, text, message) => {
    expect(refusal(text)).toContain(message);
  });

  test('any text is either a configuration or a typed refusal', () => {
    const mutated = fc
      .tuple(fc.nat(good.length), fc.nat(20), fc.string({ maxLength: 12 }))
      .map(([at, cut, put]) => good.slice(0, at) + put + good.slice(at + cut));
    fc.assert(
      fc.property(fc.oneof(fc.string(), mutated), (text) => {
        try {
          parseHostConfig(text, 'host.yaml');
        } catch (error) {
          expect(error).toBeInstanceOf(HostError);
        }
      }),
      { numRuns: 500 },
    );
  });

  test('a Linux guest has a kernel in place of an image, more memory, perhaps a disk, and neither mode nor channels', () => {
    const web = 'state: s\npartitions:\n  - { name: web, kind: standard, linux: i686, volume: 64 MiB }\n';
    const [partition] = parseHostConfig(web, '/etc/host.yaml').partitions;
    expect(partition).toEqual({
      ...{ name: 'web', kind: 'standard', linux: 'i686', commandLine: '' },
      ...{ memoryBytes: 128 * 2 ** 20, volumeBytes: 64 * 2 ** 20 },
    });
    const mistake = (partition: string, more = '') => refusal(`state: s\npartitions:\n  - ${partition}\n${more}`);
    expect(mistake('{ name: web, kind: standard }')).toContain('3:5: expected an image, or linux in its place');
    expect(mistake('{ name: web, kind: standard, image: x, volume: 1 MiB }')).toContain(
      'only a Linux guest has a volume',
    );
    expect(mistake('{ name: web, kind: standard, image: x, linux: i686 }')).toContain('exclude each other');
    expect(mistake('{ name: web, kind: trusted, linux: i686, manifest: m }')).toContain('expected kind: standard');
    expect(mistake('{ name: web, kind: standard, linux: i686, mode: x }')).toContain('has no mode');
    expect(mistake('{ name: web, kind: standard, linux: i686 }', 'channels: [[web, web]]')).toContain('no channels');
  });
});
