/**
 * `npm run torture:tpm`: kill -9 at random moments under a load of NV writes, increments, extends and EvictControl on
 * three connections; after each restart every acknowledged change must be there.
 *
 *   npm run torture:tpm -- [--kills N] [--seed N] [--durability power|process]
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { openWire, type Wire } from '../../bench/measure.ts';
import { createSrk } from '../../bench/tpm-cases.ts';
import { startNexusTpm } from '../support/nexus-tpm.ts';
import { Random } from '../support/random.ts';
import { TortureClient } from './client.ts';

const { values: options } = parseArgs({
  options: {
    kills: { type: 'string', default: '200' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    durability: { type: 'string', default: 'power' },
  },
});
const kills = Number(options.kills);
const random = new Random(Number(options.seed));
const directory = mkdtempSync(join(process.cwd(), 'dist', '.torture-'));
const clients = [0, 1, 2].map((number) => new TortureClient(number));
const STARTUP_CLEAR = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0);

try {
  for (let kill = 0; kill <= kills; kill++) {
    const tpm = await startNexusTpm('--state', join(directory, 'tpm'), '--durability', options.durability);
    const wires: Wire[] = await Promise.all(clients.map(() => openWire(tpm.port)));
    await wires[0]!.send(STARTUP_CLEAR); // There are as many wires as clients.
    for (const [i, client] of clients.entries()) {
      if (kill === 0) await client.setUp(wires[i]!);
      else await client.verify(wires[i]!);
    }
    if (kill === kills) {
      await tpm.stop();
      break;
    }
    const transient = await createSrk(wires[0]!.send);
    const loads = clients.map((client, i) => client.load(wires[i]!, random, transient));
    await sleep(random.below(120));
    await tpm.kill();
    await Promise.all(loads);
    if ((kill + 1) % 20 === 0) console.log(`${kill + 1} kills, ${acknowledged()} acknowledged changes, none lost`);
  }
  console.log(`passed: ${kills} kills, ${acknowledged()} acknowledged changes, none lost (seed ${options.seed})`);
} catch (error) {
  console.log(`failed (seed ${options.seed}): ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
} finally {
  rmSync(directory, { recursive: true, force: true });
}

function acknowledged(): number {
  return clients.reduce((sum, client) => sum + client.acknowledged, 0);
}
