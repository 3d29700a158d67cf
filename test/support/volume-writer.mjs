/**
 * A process that writes a sealed volume until it is killed: `node volume-writer.mjs DIRECTORY FIRST-VALUE`. It says
 * `start BLOCK COUNT VALUE` before each write and `done` after it. Value v stands in a block as u32, repeated.
 */
import { existsSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { BLOCK_SIZE, SealedVolume } from 'nexus-tcb/vmm';

const [directory = '', first = '1'] = process.argv.slice(2);
const BLOCKS = 64;
const RUN_MAX = 5;
const counterFile = join(directory, 'counter');
const read = () => (existsSync(counterFile) ? BigInt(readFileSync(counterFile, 'utf8')) : 0n);
const counter = {
  read: async () => read(),
  increment: async () => {
    const next = read() + 1n;
    writeFileSync(`${counterFile}.new`, `${next}`);
    renameSync(`${counterFile}.new`, counterFile);
    return next;
  },
};

const key = { key: new Uint8Array(32).fill(3) };
const path = join(directory, 'volume');
const volume = existsSync(path)
  ? await SealedVolume.open(path, key, counter)
  : await SealedVolume.create(path, BLOCKS, key, counter);

if (first === 'list') {
  const values = [];
  for (let block = 0; block < volume.blocks; block++) {
    const words = new Uint32Array(Uint8Array.from(await volume.read(block)).buffer);
    values.push(words.every((word) => word === words[0]) ? words[0] : 'torn');
  }
  writeSync(1, JSON.stringify(values));
} else {
  for (let value = Number(first); ; value++) {
    const count = 1 + Math.floor(Math.random() * RUN_MAX);
    const block = Math.floor(Math.random() * (BLOCKS - count + 1));
    writeSync(1, `start ${block} ${count} ${value}\n`);
    await volume.write(block, new Uint8Array(new Uint32Array((count * BLOCK_SIZE) / 4).fill(value).buffer));
    writeSync(1, 'done\n');
  }
}
