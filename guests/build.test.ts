import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { loadMultiboot } from '../vmm/loaders/multiboot.ts';
import { buildGuest, buildGuestsIn, GUESTS, GuestBuildError } from './build.ts';
import { packageRoot } from './root.ts';

let scratch: string;
beforeAll(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'nexus-guests-'));
});
afterAll(() => rm(scratch, { recursive: true, force: true }));

/** A copy of the sources in a folder of another name and depth. */
async function copyOfSources(...path: string[]): Promise<string> {
  const root = join(scratch, ...path);
  await cp(join(packageRoot(), 'guests'), join(root, 'guests'), {
    recursive: true,
    filter: (source) => !source.endsWith('/build'),
  });
  return root;
}

const imagesOf = async (root: string) => {
  const images = await buildGuestsIn(root, join(root, 'out'));
  return Promise.all(GUESTS.map((guest) => readFile(images[guest])));
};

it('two builds in different folders give the same bytes, and images that load', async () => {
  const [first, second] = await Promise.all([
    imagesOf(await copyOfSources('first')),
    imagesOf(await copyOfSources('another', 'place')),
  ]);
  expect(first.map((image) => image.toString('hex'))).toEqual(second.map((image) => image.toString('hex')));
  for (const image of first) expect(loadMultiboot(image, '', 4 * 1024 * 1024).entry.eip).toBeGreaterThan(0x100000);
});

it('a changed source gives another image; a broken one an error that shows the compiler', async () => {
  const root = await copyOfSources('changed');
  const main = join(root, 'guests', 'vault', 'main.c');
  const [before] = await imagesOf(root);
  await writeFile(main, (await readFile(main, 'utf8')).replace('"provision"', '"Provision"'));
  const [after] = await imagesOf(root);
  expect(after?.equals(before ?? Buffer.alloc(0))).toBe(false);
  await writeFile(main, 'int main(void) { return; }');
  await expect(imagesOf(root)).rejects.toMatchObject({
    code: 'GUEST_COMPILE',
    message: expect.stringContaining('main.c'),
  });
  const kernel = join(root, 'guests', 'sdk', 'nexus.c');
  await writeFile(kernel, 'broken');
  await expect(imagesOf(root)).rejects.toMatchObject({ code: 'GUEST_COMPILE' });
  expect((await readdir(join(root, 'out'))).filter((name) => name.includes('.'))).toEqual([]); // nothing half done
});

it('a program of a user is built with the SDK, and loads', async () => {
  const source = join(scratch, 'hello.c');
  const image = join(scratch, 'hello.elf');
  await writeFile(source, '#include "nexus.h"\nvoid guest_main(const char *line) { print("%s\\n", line); }\n');
  await buildGuest([source], image);
  expect(loadMultiboot(await readFile(image), '', 4 * 1024 * 1024).entry.eip).toBeGreaterThan(0x100000);
  await writeFile(source, 'broken');
  await expect(buildGuest([source], image)).rejects.toMatchObject({ code: 'GUEST_COMPILE' });
  expect((await readdir(scratch)).filter((name) => name.startsWith('hello.elf.'))).toEqual([]);
});

it('says so where images cannot be kept', async () => {
  const file = join(scratch, 'a-file');
  await writeFile(file, '');
  await expect(buildGuestsIn(packageRoot(), join(file, 'out'))).rejects.toMatchObject({ code: 'GUEST_OUTPUT' });
});

it('without gcc the error says what to install', async () => {
  const path = process.env.PATH;
  process.env.PATH = scratch;
  try {
    const build = buildGuestsIn(packageRoot(), join(scratch, 'out'));
    await expect(build).rejects.toBeInstanceOf(GuestBuildError);
    await expect(build).rejects.toMatchObject({
      code: 'GUEST_COMPILER_MISSING',
      message: expect.stringContaining('apt-get install gcc'),
    });
  } finally {
    process.env.PATH = path;
  }
});
