import { spawnSync } from 'node:child_process';
import { gzipSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { unpack } from './unpack.ts';

/** 32 calls of one place: push ebp; call 0x2000; nop; nop. The x86 filter makes their targets equal. */
const code = Buffer.concat(
  Array.from({ length: 32 }, (_, i) => {
    const call = Buffer.of(0x55, 0xe8, 0, 0, 0, 0, 0x90, 0x90);
    call.writeInt32LE(0x2000 - (8 * i + 6), 2);
    return call;
  }),
);
/** `code` by xz 5.4.1: --check=crc32 --x86 --lzma2=dict=4KiB, as the kernel's Makefile packs with it. */
const XZ = '/Td6WFoAAAFpIt42AgEEACEBAADaM60D4AD/AA5dACq5/AH/hmLqvnDxFAAAAAAAdcDOogABJoACAAAA70pPCT4wDYsCAAAAAAFZWg==';
/** `code` by zstd 1.5.4: -19. */
const ZSTD = 'KLUv/QRo5QEA5AJV6PofAACQkFXo8uri2tLKwrqyqqKakoqCenJqYlpSSkI6MioiGhIKAh8AAJCQHqQQ8HsH4A8EIDSlBGiE4A==';

const dpkg = spawnSync('dpkg-deb', ['--version']).error === undefined;
const needs = dpkg ? '' : ' (skipped: dpkg-deb is not here)';

describe('payload of a kernel', () => {
  it.skipIf(!dpkg)(`unpacks XZ and undoes its x86 filter, without xz${needs}`, async () => {
    expect(await unpack(Buffer.from(XZ, 'base64'), code.length)).toEqual(code);
  });

  it.skipIf(!dpkg)(`unpacks Zstandard${needs}`, async () => {
    expect(await unpack(Buffer.from(ZSTD, 'base64'), code.length)).toEqual(code);
  });

  it('unpacks gzip', async () => {
    expect(await unpack(gzipSync(code), code.length)).toEqual(code);
  });

  it.skipIf(!dpkg)(`refuses damaged payloads with a typed error, and knows no others${needs}`, async () => {
    for (const packed of [Buffer.from(XZ, 'base64'), gzipSync(code)]) {
      packed.fill(0xff, packed.length >> 1);
      await expect(unpack(packed, code.length)).rejects.toMatchObject({ code: 'LINUX_KERNEL' });
    }
    expect(await unpack(Buffer.from('BZh91AY'), 1)).toBeUndefined();
  });
});
