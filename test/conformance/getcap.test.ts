/** `tpm2_getcap` of the served TPM beside swtpm's: docs/tpm.md explains every difference, and explains nothing else. */
import { execFile, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual, promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type NexusTpm, startNexusTpm } from '../support/nexus-tpm.ts';
import { hasSwtpm, type Swtpm, startSwtpm } from '../support/swtpm.ts';

const run = promisify(execFile);
const installed = hasSwtpm && spawnSync('sh', ['-c', 'command -v tpm2_getcap']).status === 0;

const CAPABILITIES = [
  'algorithms',
  'commands',
  'pcrs',
  'properties-fixed',
  'properties-variable',
  'ecc-curves',
  'handles-transient',
  'handles-persistent',
  'handles-permanent',
  'handles-pcr',
  'handles-nv-index',
  'handles-loaded-session',
  'handles-saved-session',
];

/** Items of a capability by the name that tpm2_getcap prints; commands that it has no name for by their number. */
async function items(port: number, capability: string): Promise<Map<string, unknown>> {
  const environment = { ...process.env, TPM2TOOLS_TCTI: `swtpm:host=127.0.0.1,port=${port}` };
  const { stdout } = await run('tpm2_getcap', [capability], { env: environment });
  const printed: unknown = parse(stdout) ?? {};
  return Array.isArray(printed)
    ? new Map(printed.map((item) => [String(item), true]))
    : new Map(Object.entries(printed as Record<string, unknown>).map(([name, item]) => [itemName(name), item])); // a map, then
}

/** Its numbers for commands are TPMA_CC, which lie below 0x8000 with their attributes taken away. */
const itemName = (name: string): string => (/^\d+$/.test(name) ? `0x${(Number(name) & 0xffff).toString(16)}` : name);

/** The rows of the table under "What differs from swtpm": a capability, and its items in backquotes. */
function explained(): Map<string, Set<string>> {
  const section = readFileSync('docs/tpm.md', 'utf8').split('## What differs from swtpm')[1]?.split('\n## ')[0] ?? '';
  const found = new Map<string, Set<string>>(CAPABILITIES.map((capability) => [capability, new Set()]));
  for (const line of section.split('\n')) {
    const [, capability = '', names = ''] = line.split('|').map((cell) => cell.trim());
    for (const [, name = ''] of names.matchAll(/`([^`]+)`/g)) found.get(capability)?.add(name);
  }
  return found;
}

describe.skipIf(!installed)('tpm2_getcap (needs tpm2-tools and swtpm)', () => {
  let ours: NexusTpm;
  let peer: Swtpm;
  beforeAll(async () => {
    ours = await startNexusTpm('--startup', 'clear');
    peer = await startSwtpm('startup-clear');
  });
  afterAll(async () => {
    await ours?.kill();
    peer?.stop();
  });

  test.each(CAPABILITIES)('%s: what differs from swtpm is what docs/tpm.md explains', async (capability) => {
    const [here, there] = [await items(ours.port, capability), await items(peer.port, capability)];
    const names = new Set([...here.keys(), ...there.keys()]);
    const different = [...names].filter((name) => !isDeepStrictEqual(here.get(name), there.get(name)));
    expect(different.sort()).toEqual([...(explained().get(capability) ?? [])].sort());
  });

  test('every capability that tpm2_getcap knows is compared', async () => {
    const environment = { ...process.env, TPM2TOOLS_TCTI: `swtpm:host=127.0.0.1,port=${ours.port}` };
    const { stdout } = await run('tpm2_getcap', ['-l'], { env: environment });
    // Vendor properties are asked for by number.
    const known = (parse(stdout) as string[]).filter((name) => name !== 'vendor'); // a list of names
    expect(known.sort()).toEqual([...CAPABILITIES].sort());
  });
});
