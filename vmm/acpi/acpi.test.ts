import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { buffer, eisaId, integer, path, scope } from './aml.ts';
import { placeTables } from './layout.ts';
import { type AcpiMachine, V86_INTERRUPTS, V86_POWER } from './machine.ts';

const machine = (kind: 'tis' | 'crb'): AcpiMachine => ({
  power: V86_POWER,
  interrupts: V86_INTERRUPTS,
  pci: { windowFirst: 0xc0000000, windowLast: 0xd7ffffff },
  tpm: { interface: kind, logArea: { address: 0xf0000, size: 0x10000 } },
});

describe('AML', () => {
  it('encodes integers in their shortest form', () => {
    expect([...integer(1)]).toEqual([1]);
    expect([...integer(0x7f)]).toEqual([0x0a, 0x7f]);
    expect([...integer(0x1234)]).toEqual([0x0b, 0x34, 0x12]);
    expect([...integer(0xfed40000)]).toEqual([0x0c, 0, 0, 0xd4, 0xfe]);
    expect(() => integer(-1)).toThrow(RangeError);
  });

  it('encodes EISA identifiers as in ACPI 19.3.4 (PNP0A03 is 0x030AD041)', () => {
    expect([...eisaId('PNP0A03')]).toEqual([0x0c, 0x41, 0xd0, 0x0a, 0x03]);
  });

  it('encodes names, and refuses what is none', () => {
    expect(Buffer.from(path('\\_SB.PCI0')).toString('latin1')).toBe('\\._SB_PCI0');
    expect(() => path('too_long')).toThrow(RangeError);
    expect(() => path('1ABC')).toThrow(RangeError);
  });

  it.each([0, 50, 57, 58, 4000, 4085, 4086, 70000])('the length of a package of %d bytes counts itself', (size) => {
    const bytes = scope('_SB', buffer(new Uint8Array(size)));
    const follow = (bytes[1] ?? 0) >> 6;
    let length = (bytes[1] ?? 0) & (follow === 0 ? 0x3f : 0x0f);
    for (let i = 0; i < follow; i++) length |= (bytes[2 + i] ?? 0) << (4 + 8 * i);
    expect(length).toBe(bytes.length - 1);
  });
});

describe('ACPI tables', () => {
  it('sum to zero and are found from the RSDP', () => {
    const placed = placeTables(machine('tis'), 0xe0000);
    const sum = (bytes: Uint8Array) => bytes.reduce((total, byte) => (total + byte) & 0xff, 0);
    for (const { signature, bytes } of placed.tables) {
      if (signature !== 'FACS') expect(sum(bytes), signature).toBe(0);
    }
    const memory = new DataView(placed.bytes.buffer);
    const xsdtAt = memory.getUint32(placed.rsdp - placed.base + 24, true) - placed.base;
    const count = (memory.getUint32(xsdtAt + 4, true) - 36) / 8;
    const found = Array.from({ length: count }, (_, i) => {
      const at = memory.getUint32(xsdtAt + 36 + 8 * i, true) - placed.base;
      return Buffer.from(placed.bytes.subarray(at, at + 4)).toString('latin1');
    });
    expect(found).toEqual(['FACP', 'APIC', 'TPM2']);
  });

  const iasl = (() => {
    try {
      execFileSync('iasl', ['-v'], { stdio: 'ignore' });
      return true;
    } catch {
      return false;
    }
  })();

  it.skipIf(!iasl).each(['tis', 'crb'] as const)(
    'disassemble and compile back without a word of complaint (needs iasl): %s',
    (kind) => {
      const directory = mkdtempSync(join(tmpdir(), 'nexus-acpi-'));
      try {
        for (const { signature, bytes } of placeTables(machine(kind), 0xe0000).tables) {
          if (signature === 'RSD PTR ') continue; // iasl takes RSDT-style tables only
          const file = join(directory, `${signature}.aml`);
          writeFileSync(file, bytes);
          const said = execFileSync('iasl', ['-d', file], { encoding: 'utf8', stdio: 'pipe' });
          expect(said).not.toMatch(/error|warning|invalid|unknown/i);
          const source = file.replace('.aml', '.dsl');
          expect(readFileSync(source, 'latin1')).not.toMatch(/invalid|incorrect|unknown/i);
          if (signature === 'DSDT') {
            expect(readFileSync(source, 'latin1')).toContain('"MSFT0101"');
            const compiled = execFileSync('iasl', [source], { encoding: 'utf8', stdio: 'pipe' });
            expect(compiled).toMatch(/ 0 Errors, 0 Warnings/);
            expect(readFileSync(file).subarray(36)).toEqual(Buffer.from(bytes.subarray(36)));
          }
        }
      } finally {
        rmSync(directory, { recursive: true });
      }
    },
  );
});
