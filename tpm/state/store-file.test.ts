import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import {
  chmodSync,
  fdatasyncSync,
  mkdtempSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { MemoryStore, type RecordChange } from './store.ts';
import { StoreError } from './store-error.ts';
import { FileStore, type FileStoreOptions, type Medium } from './store-file.ts';

const root = mkdtempSync(join(tmpdir(), 'nexus-store-'));
afterAll(() => rmSync(root, { recursive: true, force: true }));

let count = 0;
const fresh = () => join(root, `state-${count++}`);
const bytes = (text: string) => Uint8Array.from(Buffer.from(text));
const put = (key: string, text: string): RecordChange => ({ key, value: bytes(text) });
const text = (value: Uint8Array | undefined) => (value === undefined ? undefined : Buffer.from(value).toString());

async function refusal(options: FileStoreOptions): Promise<StoreError> {
  const outcome = await FileStore.open(options).catch((error: unknown) => error);
  if (!(outcome instanceof StoreError)) throw new Error(`not refused: ${outcome}`);
  return outcome;
}

/** A closed store that acknowledged `a` = 1, then `b` = 2, each in a frame of its own; and where those frames end. */
async function twoFrames() {
  const directory = fresh();
  const ends: number[] = [];
  const medium: Medium = {
    write(fd, data, position) {
      DISK.write(fd, data, position);
      if (data.length < 1000) ends.push(position + data.length);
    },
    sync: DISK.sync,
    syncInPlace: DISK.syncInPlace,
  };
  const store = await FileStore.open({ directory, medium });
  await store.commit([put('a', '1'.repeat(20))]);
  await store.commit([put('b', '2'.repeat(600))]);
  await store.close();
  return { directory, path: join(directory, 'state'), start: ends.at(-2)!, end: ends.at(-1)! };
}

const DISK: Medium = {
  write(fd, data, position) {
    writeSync(fd, data, 0, data.length, position);
  },
  sync: async (fd) => fdatasyncSync(fd),
  syncInPlace: fdatasyncSync,
};

describe('a store on disk', () => {
  it('behaves as the one in memory, over restarts', async () => {
    const key = fc.constantFrom('nv/1', 'nv/2', 'pcr', 'object/1');
    const value = fc.option(fc.uint8Array({ maxLength: 40 }), { nil: undefined });
    const batch = fc.array(fc.record({ key, value }), { maxLength: 4 });
    const step = fc.oneof({ weight: 4, arbitrary: batch }, { weight: 1, arbitrary: fc.constant('restart' as const) });
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
        const directory = fresh();
        const model = new MemoryStore();
        let store = await FileStore.open({ directory, durability: 'process' });
        for (const [i, one] of steps.entries()) {
          if (one === 'restart') {
            await store.close();
            store = await FileStore.open({ directory, durability: 'process' });
          } else {
            await Promise.all([i % 2 ? store.commit(one) : store.commitInPlace(one), model.commit(one)]);
          }
          expect([...store.keys('')].sort()).toEqual([...model.keys('')].sort());
          for (const name of model.keys('nv/')) expect(store.get(name)).toEqual(model.get(name));
        }
        await store.close();
      }),
      { numRuns: 15 },
    );
  });

  it('keeps nothing readable in its file', async () => {
    const directory = fresh();
    const store = await FileStore.open({ directory });
    await store.commit([put('secret-name', 'secret-value')]);
    await store.close();
    const file = readFileSync(join(directory, 'state')).toString('latin1');
    expect(file).not.toContain('secret');
  });

  it('folds a long journal into a snapshot, and loses nothing', async () => {
    const directory = fresh();
    const store = await FileStore.open({ directory, durability: 'process' });
    for (let i = 0; i < 300; i++) await store.commit([put('big', `${i}`.padEnd(8000))]);
    await store.commit([put('last', 'x')]);
    await store.close();
    expect(readFileSync(join(directory, 'state')).length).toBeLessThan(1_900_000);
    const again = await FileStore.open({ directory });
    expect([text(again.get('big'))?.trim(), text(again.get('last'))]).toEqual(['299', 'x']);
    await again.close();
  });

  it('shares one sync among commits that arrive while another runs', async () => {
    let syncs = 0;
    const medium: Medium = { ...DISK, sync: (fd) => DISK.sync(fd).finally(() => syncs++) };
    const store = await FileStore.open({ directory: fresh(), medium });
    const before = syncs;
    await Promise.all(Array.from({ length: 100 }, (_, i) => store.commit([put(`k${i}`, 'v')])));
    expect(syncs - before).toBe(2);
    await store.close();
  });

  it('tells every waiting caller of a failed medium, and every later one', async () => {
    const directory = fresh();
    let broken = false;
    const sync = (fd: number) => (broken ? Promise.reject(new Error('EIO')) : DISK.sync(fd));
    const store = await FileStore.open({ directory, medium: { ...DISK, sync } });
    await store.commit([put('a', 'acknowledged')]);
    broken = true;
    const outcomes = await Promise.allSettled([store.commit([put('b', '1')]), store.commit([put('c', '1')])]);
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    await expect(store.commit([put('d', '1')])).rejects.toMatchObject({ code: 'IO' });
    await store.close();
    const again = await FileStore.open({ directory });
    expect(text(again.get('a'))).toBe('acknowledged');
    await again.close();
  });

  it('in place: durable on return, behind what is being written, and a failure is final', async () => {
    const directory = fresh();
    const done: string[] = [];
    let broken = false;
    const medium: Medium = {
      ...DISK,
      syncInPlace(fd) {
        if (broken) throw Object.assign(new Error('no space'), { code: 'ENOSPC' });
        DISK.syncInPlace(fd);
        done.push('in place');
      },
    };
    const store = await FileStore.open({ directory, medium });
    expect(store.commitInPlace([put('a', '1')])).toBeUndefined();
    expect(done).toEqual(['in place']);
    const before = store.commit([put('a', '2')]).then(() => done.push('before'));
    const behind = store.commitInPlace([put('a', '3')])?.then(() => done.push('behind'));
    await Promise.all([before, behind]);
    expect(done).toEqual(['in place', 'before', 'behind']);
    broken = true;
    expect(() => store.commitInPlace([put('a', '4')])).toThrow(/ENOSPC/);
    expect(() => store.commitInPlace([put('a', '5')])).toThrow(/ENOSPC/);
    await expect(store.commit([put('a', '6')])).rejects.toMatchObject({ code: 'IO' });
    await store.close();
  });

  it('exports everything under another key, and imports it whole', async () => {
    const source = { passphrase: 'correct horse' };
    const from = await FileStore.open({ directory: fresh() });
    await from.commit([put('a', '1'), put('b', '2')]);
    const backup = from.export(source);
    const to = await FileStore.open({ directory: fresh() });
    await to.commit([put('b', 'old'), put('c', 'old')]);
    await expect(to.import(backup, { passphrase: 'wrong' })).rejects.toMatchObject({ code: 'WRONG_KEY' });
    await expect(to.import(backup.subarray(0, -1), source)).rejects.toMatchObject({ code: 'CORRUPT' });
    expect(text(to.get('c'))).toBe('old');
    await to.import(backup, source);
    expect([...to.keys('')].map((key) => [key, text(to.get(key))])).toEqual([
      ['b', '2'],
      ['a', '1'],
    ]);
    await Promise.all([from.close(), to.close()]);
  });
});

describe('what is refused, by name', () => {
  it('a directory in use, with the pid of its holder', async () => {
    const directory = fresh();
    const store = await FileStore.open({ directory });
    const error = await refusal({ directory });
    expect(error.code).toBe('LOCKED');
    expect(error.message).toContain(`process ${process.pid}`);
    await store.close();
    await (await FileStore.open({ directory })).close();
  });

  it('not the lock of a dead process, nor of another process with its number', async () => {
    const directory = fresh();
    await (await FileStore.open({ directory })).close();
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    for (const lock of [`${pid} 1 1\n`, `${process.pid} 1 1\n`, '']) {
      writeFileSync(join(directory, 'lock'), lock);
      await (await FileStore.open({ directory })).close();
    }
  });

  it.each(['state', 'key'])('a symbolic link in place of the %s', async (name) => {
    const { directory } = await twoFrames();
    renameSync(join(directory, name), `${directory}-${name}`);
    symlinkSync(`${directory}-${name}`, join(directory, name));
    const error = await refusal({ directory });
    expect(error.code).toBe('SYMLINK');
    expect(error.path).toBe(join(directory, name));
  });

  it('a key that others can read, a lost key, a wrong key, a lost state', async () => {
    const { directory, path } = await twoFrames();
    const key = join(directory, 'key');
    chmodSync(key, 0o644);
    expect((await refusal({ directory })).code).toBe('PERMISSION');
    rmSync(key);
    expect((await refusal({ directory })).code).toBe('NO_KEY');
    writeFileSync(key, new Uint8Array(32), { mode: 0o600 });
    expect((await refusal({ directory })).code).toBe('WRONG_KEY');
    expect((await refusal({ directory, key: { passphrase: 'x' } })).code).toBe('WRONG_KEY');
    rmSync(path);
    expect((await refusal({ directory })).code).toBe('CORRUPT');
  });

  it('a state of a newer program; an older one is migrated once', async () => {
    const directory = fresh();
    const one = await FileStore.open({ directory, schema: 1 });
    await one.commit([put('a', '1')]);
    await one.close();
    const migrate = (records: Map<string, Uint8Array>, from: number) => {
      records.set('a', bytes(`${text(records.get('a'))} from ${from}`));
    };
    for (let i = 0; i < 2; i++) {
      const two = await FileStore.open({ directory, schema: 2, migrate });
      expect(text(two.get('a'))).toBe('1 from 1');
      await two.close();
    }
    expect((await refusal({ directory, schema: 1 })).code).toBe('VERSION');
  });
});

describe('a damaged file', () => {
  it('drops an interrupted last write, wherever it was cut, and keeps what was acknowledged before', async () => {
    const { directory, path, start, end } = await twoFrames();
    const whole = readFileSync(path);
    const cuts = [start, start + 1, start + 10, start + 19, start + 20, start + 300, end - 9, end - 1];
    for (const cut of cuts) {
      for (const remains of [0, whole.length - cut]) {
        writeFileSync(path, Buffer.concat([whole.subarray(0, cut), Buffer.alloc(remains)]));
        const dropped = !(remains > 0 && cut === end - 1 && whole[end - 1] === 0);
        if (remains > 0 && cut > end - 8) continue; // fewer than eight zero octets could be damage: see below
        const store = await FileStore.open({ directory });
        expect(store.get('a')).toBeDefined();
        expect(store.get('b') === undefined).toBe(dropped);
        await store.close();
      }
    }
  });

  it('drops a last write of which one sector never reached the disk', async () => {
    const { directory, path, start, end } = await twoFrames();
    const whole = readFileSync(path);
    const sector = Math.ceil(start / 512) * 512;
    expect(sector).toBeLessThan(end);
    whole.fill(0, start, sector);
    writeFileSync(path, whole);
    const store = await FileStore.open({ directory });
    expect([store.get('a') !== undefined, store.get('b')]).toEqual([true, undefined]);
    await store.close();
  });

  it('is refused for any changed octet, the last acknowledged frame included, and left as it is', async () => {
    const { directory, path, end } = await twoFrames();
    const whole = readFileSync(path);
    for (let at = 0; at < end; at += at < 200 ? 1 : 7) {
      const damaged = Buffer.from(whole);
      damaged[at] = damaged[at]! ^ 0x55;
      writeFileSync(path, damaged);
      const error = await refusal({ directory });
      expect(['CORRUPT', 'WRONG_KEY']).toContain(error.code);
      expect(readFileSync(path).equals(damaged)).toBe(true);
    }
  });

  it('is refused when a frame in its middle is lost', async () => {
    const { directory, path, start } = await twoFrames();
    const whole = readFileSync(path);
    whole.fill(0, start - 100, start);
    writeFileSync(path, whole);
    expect((await refusal({ directory })).code).toBe('CORRUPT');
  });

  it('never throws anything but StoreError for hostile bytes', async () => {
    const { directory, path } = await twoFrames();
    const header = readFileSync(path).subarray(0, 72);
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 200, size: 'max' }), fc.boolean(), async (junk, withHeader) => {
        writeFileSync(path, withHeader ? Buffer.concat([header, junk]) : junk);
        expect((await refusal({ directory })).code).toBe('CORRUPT');
      }),
      { numRuns: 100 },
    );
  });
});

describe('kill -9', () => {
  it.each(['power', 'process'] as const)('loses nothing acknowledged with durability %s', async (durability) => {
    const program = join(root, `writer-${durability}.mjs`);
    buildSync({
      stdin: { contents: WRITER, resolveDir: fileURLToPath(new URL('.', import.meta.url)), loader: 'ts' },
      bundle: true,
      platform: 'node',
      format: 'esm',
      outfile: program,
    });
    const directory = fresh();
    for (let round = 0; round < 5; round++) {
      const child = spawn(process.execPath, [program, directory, durability], { stdio: ['ignore', 'pipe', 'inherit'] });
      const acknowledged = await killAfter(child, 20 + round * 137);
      const store = await FileStore.open({ directory });
      for (const [key, value] of acknowledged) expect(Number(text(store.get(key)))).toBeGreaterThanOrEqual(value);
      await store.close();
    }
  });
});

/** Three writers at once, each acknowledging a counter on stdout. */
const WRITER = `
import { writeSync } from 'node:fs';
import { FileStore } from './store-file.ts';
const [, , directory, durability] = process.argv;
const store = await FileStore.open({ directory, durability: durability as 'power' });
for (const key of ['a', 'b', 'c']) void write(key);
async function write(key: string) {
  for (let i = Number(new TextDecoder().decode(store.get(key)) || '0') + 1; ; i++) {
    await store.commit([{ key, value: new TextEncoder().encode(String(i)) }, { key: key + i % 7, value: new Uint8Array(i % 900) }]);
    writeSync(1, key + ' ' + i + '\\n');
  }
}
`;

/** The last acknowledged value of each key when the child is killed after `lines` acknowledgements. */
async function killAfter(child: ChildProcess, lines: number): Promise<Map<string, number>> {
  let output = '';
  child.stdout?.on('data', (chunk: Buffer) => {
    output += chunk;
    if (output.split('\n').length > lines) child.kill('SIGKILL');
  });
  await new Promise((resolve) => child.once('close', resolve));
  const last = new Map<string, number>();
  for (const [, key, value] of output.matchAll(/^(\w) (\d+)$/gm)) last.set(key!, Number(value));
  return last;
}
