/**
 * A small encoder of ACPI Machine Language: the terms that a static description of devices needs, and no more.
 * Every function gives the bytes of one term. ACPI 6.5, chapter 20.
 */

export type Aml = Uint8Array;

const OP = {
  ZERO: 0x00,
  ONE: 0x01,
  NAME: 0x08,
  BYTE: 0x0a,
  WORD: 0x0b,
  DWORD: 0x0c,
  STRING: 0x0d,
  SCOPE: 0x10,
  BUFFER: 0x11,
  PACKAGE: 0x12,
  EXT: 0x5b,
  EXT_DEVICE: 0x82,
} as const;

/** Concatenate terms. */
export function aml(...parts: readonly (Aml | readonly number[])[]): Aml {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/**
 * A name string (20.2.2): segments of up to four of A-Z, 0-9 and underscore, separated by dots, absolute with a
 * leading backslash. Throws RangeError for anything else.
 */
export function path(name: string): Aml {
  const root = name.startsWith('\\');
  const segments = (root ? name.slice(1) : name).split('.');
  for (const segment of segments) {
    if (!/^[A-Z_][A-Z0-9_]{0,3}$/.test(segment)) throw new RangeError(`not an ACPI name: ${name}`);
  }
  const prefix = segments.length === 1 ? [] : segments.length === 2 ? [0x2e] : [0x2f, segments.length];
  return aml(root ? [0x5c] : [], prefix, ascii(segments.map((segment) => segment.padEnd(4, '_')).join('')));
}

/** An unsigned integer constant of up to 32 bits, in its shortest form (20.2.3). */
export function integer(value: number): Aml {
  if (!Number.isInteger(value) || value < 0 || value > 0xffffffff) throw new RangeError(`not a 32-bit value: ${value}`);
  if (value === 0) return Uint8Array.of(OP.ZERO);
  if (value === 1) return Uint8Array.of(OP.ONE);
  if (value <= 0xff) return Uint8Array.of(OP.BYTE, value);
  if (value <= 0xffff) return aml([OP.WORD], le(value, 2));
  return aml([OP.DWORD], le(value, 4));
}

/** A string constant. Throws RangeError when it is not ASCII. */
export const string = (value: string): Aml => aml([OP.STRING], ascii(value), [0]);

/** Name (`name`, `value`). */
export const name = (id: string, value: Aml): Aml => aml([OP.NAME], path(id), value);

/** Scope (`id`) { `terms` }. */
export const scope = (id: string, ...terms: Aml[]): Aml => packaged([OP.SCOPE], path(id), ...terms);

/** Device (`id`) { `terms` }. */
export const device = (id: string, ...terms: Aml[]): Aml => packaged([OP.EXT, OP.EXT_DEVICE], path(id), ...terms);

/** Package () { `elements` }, up to 255. */
export const packageOf = (...elements: Aml[]): Aml =>
  packaged([OP.PACKAGE], Uint8Array.of(elements.length), ...elements);

/** Buffer () { `bytes` }. */
export const buffer = (bytes: Uint8Array): Aml => packaged([OP.BUFFER], integer(bytes.length), bytes);

/** EISAID (`id`): a compressed seven-character identifier such as `PNP0A03` (19.3.4). */
export function eisaId(id: string): Aml {
  const match = /^([A-Z])([A-Z])([A-Z])([0-9A-F]{4})$/.exec(id);
  if (match === null) throw new RangeError(`not an EISA identifier: ${id}`);
  const [, a = '', b = '', c = '', product = ''] = match;
  const letters = [a, b, c].reduce((bits, letter) => (bits << 5) | (letter.charCodeAt(0) - 0x40), 0);
  return aml([OP.DWORD], [letters >> 8, letters & 0xff], hex(product));
}

/** A resource template: descriptors and the end tag, as a buffer (6.4). */
export const resources = (...descriptors: Aml[]): Aml => buffer(aml(...descriptors, [0x79, 0x00]));

/** Memory32Fixed (ReadWrite, `base`, `length`) (6.4.3.4). */
export const memory32Fixed = (base: number, length: number): Aml => aml([0x86, 9, 0, 1], le(base, 4), le(length, 4));

/** IO (Decode16, `base`, `base`, 1, `length`) (6.4.2.5). */
export const ioPorts = (base: number, length: number): Aml => aml([0x47, 1], le(base, 2), le(base, 2), [1, length]);

/** IRQNoFlags () { `line` } (6.4.2.1). */
export const irq = (line: number): Aml => aml([0x22], le(1 << line, 2));

/** Address spaces that a bus hands on to its children (6.4.3.5). */
const SPACE = { memory: 0, io: 1, bus: 2 } as const;

/** An address range produced by a bus: `WordBusNumber`, `DWordIO` or `DWordMemory` with fixed bounds, inclusive. */
export function bridgeRange(space: keyof typeof SPACE, first: number, last: number): Aml {
  const wide = space === 'memory' ? 4 : 2;
  // General flags: minimum and maximum fixed. Type flags: memory read-write uncached; I/O entire range.
  const type = space === 'memory' ? 1 : space === 'io' ? 3 : 0;
  const fields = [0, first, last, 0, last - first + 1].map((value) => le(value, wide));
  const body = aml([SPACE[space], 0x0c, type], ...fields);
  return aml([wide === 4 ? 0x87 : 0x88], le(body.length, 2), body);
}

/** A term whose length follows its operator (20.2.4): one to four bytes that count themselves. */
function packaged(operator: readonly number[], ...terms: Aml[]): Aml {
  const body = aml(...terms);
  for (let extra = 0; extra < 4; extra++) {
    const total = body.length + 1 + extra;
    if (total >= (extra === 0 ? 0x40 : 1 << (4 + 8 * extra))) continue;
    const lead = extra === 0 ? [total] : [(extra << 6) | (total & 0x0f), ...le(total >> 4, extra)];
    return aml(operator, lead, body);
  }
  throw new RangeError('an AML term is too long');
}

/** `size` bytes, least significant first. */
export const le = (value: number, size: number): Uint8Array =>
  Uint8Array.from({ length: size }, (_, i) => Math.floor(value / 2 ** (8 * i)) & 0xff);

/** The characters of an ASCII string. */
export function ascii(text: string): Uint8Array {
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  if (/[^\x20-\x7e]/.test(text)) throw new RangeError(`not printable ASCII: ${text}`);
  return bytes;
}

const hex = (digits: string): Uint8Array => Uint8Array.from(Buffer.from(digits, 'hex'));
