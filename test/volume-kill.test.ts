/**
 * A real process that writes a sealed volume on a real disk is killed at moments it does not choose. NEXUS_KILLS sets
 * how often; each time the volume opens, and every block is what was last acknowledged, or what was under way.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const KILLS = Number(process.env.NEXUS_KILLS ?? 20);
const LIFE_MS = 40;
const WRITER = fileURLToPath(new URL('./support/volume-writer.mjs', import.meta.url));

interface Write {
  readonly block: number;
  readonly count: number;
  readonly value: number;
}

/** Let a writer live for a while after its first word; what it said that it did. */
function killed(directory: string, first: number, afterMs: number): Promise<{ done: Write[]; underWay?: Write }> {
  const child = spawn(process.execPath, [WRITER, directory, `${first}`], { stdio: ['ignore', 'pipe', 'inherit'] });
  let said = '';
  child.stdout.once('data', () => setTimeout(() => child.kill('SIGKILL'), afterMs));
  child.stdout.on('data', (bytes: Buffer) => {
    said += bytes.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('close', (code) => {
      if (code !== null) reject(new Error(`the writer ended with ${code}`));
      const done: Write[] = [];
      let underWay: Write | undefined;
      for (const line of said.split('\n').slice(0, -1)) {
        const [what, block, count, value] = line.split(' ');
        if (what === 'start') underWay = { block: Number(block), count: Number(count), value: Number(value) };
        else if (underWay) {
          done.push(underWay);
          underWay = undefined;
        }
      }
      resolve({ done, ...(underWay && { underWay }) });
    });
  });
}

test(
  `killed ${KILLS} times at any moment, a volume holds the old blocks or the new ones`,
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'nexus-volume-kill-'));
    const expected = new Array<number>(64).fill(0);
    let next = 1;
    let caught = 0;
    try {
      for (let kill = 0; kill < KILLS; kill++) {
        const { done, underWay } = await killed(directory, next, Math.random() * LIFE_MS);
        for (const { block, count, value } of done) expected.fill(value, block, block + count);
        const { stdout } = spawnSync(process.execPath, [WRITER, directory, 'list'], { encoding: 'utf8' });
        const found = JSON.parse(stdout) as (number | 'torn')[];
        const arrived = [...expected];
        if (underWay) arrived.fill(underWay.value, underWay.block, underWay.block + underWay.count);
        if (underWay) caught++;
        // A run of blocks arrives whole or not at all.
        expect([expected, arrived]).toContainEqual(found);
        found.forEach((value, block) => {
          expected[block] = Number(value);
        });
        next = (underWay ?? done.at(-1))?.value ?? next;
        next++;
      }
      // Most kills come while a write is under way; else this test shows nothing.
      expect(caught).toBeGreaterThan(KILLS / 4);
    } finally {
      rmSync(directory, { recursive: true });
    }
  },
  KILLS * 5000,
);
