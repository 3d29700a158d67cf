/**
 * The codec that every structure of Part 2 is declared in. A schema is a value with `read` and `write`; its TypeScript
 * type is inferred from it, so declaration, bytes and type cannot differ. Reading checks everything and throws
 * `TpmError` with the response code the specification gives for that type. Byte strings that come out of `read` are
 * copies.
 */
import { TPM_RC } from './constants.ts';
import { TpmError } from './errors.ts';
import { Reader, Writer } from './octets.ts';

/** One declared type: how its bytes are read and written. */
export interface Schema<T> {
  read(reader: Reader): T;
  write(writer: Writer, value: T): void;
  /** How it is built, for what walks declarations instead of bytes (generators of tests, tables). */
  readonly shape?: Shape;
}

/** The building blocks of schemas. A schema without a shape is opaque. */
export type Shape =
  | { readonly kind: 'number'; readonly bytes: 1 | 2 | 4 | 8; readonly values?: readonly number[] }
  | { readonly kind: 'attributes'; readonly bytes: 1 | 2 | 4 | 8; readonly bits: readonly number[] }
  | { readonly kind: 'buffer'; readonly max: number }
  | { readonly kind: 'fixed'; readonly size: number }
  | { readonly kind: 'sized'; readonly inner: Schema<unknown>; readonly optional: boolean }
  | { readonly kind: 'list'; readonly element: Schema<unknown>; readonly min: number; readonly max: number }
  | { readonly kind: 'struct'; readonly fields: Fields }
  | { readonly kind: 'tagged'; readonly common: Fields; readonly tag: string; readonly variants: Variants };

/** Bytes of a number's encoding, by its base schema. */
const widthOf = (base: Schema<number>): 1 | 2 | 4 | 8 =>
  base.shape?.kind === 'number' || base.shape?.kind === 'attributes' ? base.shape.bytes : 4;

/** The TypeScript type of a schema. */
export type Infer<S> = S extends Schema<infer T> ? T : never;

export type Fields = Readonly<Record<string, Schema<unknown>>>;

type Simplify<T> = { [K in keyof T]: T[K] } & {};

/** The object type of named fields; a field that may be undefined may be left out. */
export type InferFields<F> = Simplify<
  { -readonly [K in keyof F as undefined extends Infer<F[K]> ? never : K]: Infer<F[K]> } & {
    -readonly [K in keyof F as undefined extends Infer<F[K]> ? K : never]?: Infer<F[K]>;
  }
>;

export const u8: Schema<number> = {
  shape: { kind: 'number', bytes: 1 },
  read: (r) => r.u8(),
  write: (w, v) => w.u8(v),
};
export const u16: Schema<number> = {
  shape: { kind: 'number', bytes: 2 },
  read: (r) => r.u16(),
  write: (w, v) => w.u16(v),
};
export const u32: Schema<number> = {
  shape: { kind: 'number', bytes: 4 },
  read: (r) => r.u32(),
  write: (w, v) => w.u32(v),
};
export const u64: Schema<bigint> = {
  shape: { kind: 'number', bytes: 8 },
  read: (r) => r.u64(),
  write: (w, v) => w.u64(v),
};
export const i8: Schema<number> = {
  shape: { kind: 'number', bytes: 1 },
  read: (r) => (r.u8() << 24) >> 24,
  write: (w, v) => w.u8(v & 0xff),
};
export const i32: Schema<number> = {
  shape: { kind: 'number', bytes: 4 },
  read: (r) => r.u32() | 0,
  write: (w, v) => w.u32(v >>> 0),
};

/** TPMI_YES_NO: one octet, 0 or 1, else TPM_RC_VALUE. Part 2, section 9.2. */
export const yesNo: Schema<boolean> = {
  shape: { kind: 'number', bytes: 1, values: [0, 1] },
  read(r) {
    const value = r.u8();
    if (value > 1) throw new TpmError(TPM_RC.VALUE);
    return value === 1;
  },
  write: (w, v) => w.u8(v ? 1 : 0),
};

/** TPM2B: a 16-bit size, then that many octets. More than `max` is TPM_RC_SIZE. */
export function buffer(max: number): Schema<Uint8Array> {
  return {
    shape: { kind: 'buffer', max },
    read(r) {
      const size = r.u16();
      if (size > max) throw new TpmError(TPM_RC.SIZE);
      return r.bytes(size);
    },
    write(w, v) {
      w.u16(v.length);
      w.bytes(v);
    },
  };
}

/** Exactly `size` octets. */
export function fixed(size: number): Schema<Uint8Array> {
  return { shape: { kind: 'fixed', size }, read: (r) => r.bytes(size), write: (w, v) => w.bytes(v) };
}

/** All octets that remain (inside a TPM2B or record). */
export const rest: Schema<Uint8Array> = { read: (r) => r.bytes(r.remaining), write: (w, v) => w.bytes(v) };

/** A TPM2B that holds one structure: the size must be exact, else TPM_RC_SIZE; zero is TPM_RC_SIZE too. */
export function sized<T>(inner: Schema<T>): Schema<T> {
  return {
    shape: { kind: 'sized', inner: inner as Schema<unknown>, optional: false },
    read(r) {
      const size = r.u16();
      if (size === 0) throw new TpmError(TPM_RC.SIZE);
      return readInner(r, size, inner);
    },
    write: (w, v) => writeInner(w, inner, v),
  };
}

/** As `sized`, where an empty TPM2B stands for "absent". */
export function sizedOptional<T>(inner: Schema<T>): Schema<T | undefined> {
  return {
    shape: { kind: 'sized', inner: inner as Schema<unknown>, optional: true },
    read(r) {
      const size = r.u16();
      return size === 0 ? undefined : readInner(r, size, inner);
    },
    write(w, v) {
      if (v === undefined) w.u16(0);
      else writeInner(w, inner, v);
    },
  };
}

function readInner<T>(r: Reader, size: number, inner: Schema<T>): T {
  if (size > r.remaining) throw new TpmError(TPM_RC.INSUFFICIENT);
  const outerEnd = r.end;
  const innerEnd = r.pos + size;
  r.end = innerEnd;
  try {
    const value = inner.read(r);
    if (r.pos !== innerEnd) throw new TpmError(TPM_RC.SIZE);
    return value;
  } finally {
    r.end = outerEnd;
  }
}

function writeInner<T>(w: Writer, inner: Schema<T>, value: T): void {
  const at = w.reserve(2);
  inner.write(w, value);
  w.view.setUint16(at, w.pos - at - 2);
}

/** TPML: a 32-bit count, then elements. Fewer than `min` or more than `max` is TPM_RC_SIZE. */
export function list<T>(element: Schema<T>, max: number, min = 0): Schema<T[]> {
  return {
    shape: { kind: 'list', element: element as Schema<unknown>, min, max },
    read(r) {
      const count = r.u32();
      if (count > max || count < min) throw new TpmError(TPM_RC.SIZE);
      const items: T[] = [];
      for (let i = 0; i < count; i++) items.push(element.read(r));
      return items;
    },
    write(w, v) {
      w.u32(v.length);
      for (const item of v) element.write(w, item);
    },
  };
}

/** Fields in order. */
export function struct<F extends Fields>(fields: F): Schema<InferFields<F>> & { readonly fields: F } {
  const names = Object.keys(fields);
  const schemas = Object.values(fields);
  const count = names.length;
  return {
    fields,
    shape: { kind: 'struct', fields },
    read(r) {
      const value: Record<string, unknown> = {};
      for (let i = 0; i < count; i++) value[names[i]!] = schemas[i]!.read(r);
      return value as InferFields<F>; // built from exactly these fields
    },
    write(w, v) {
      const value = v as Record<string, unknown>;
      for (let i = 0; i < count; i++) schemas[i]!.write(w, value[names[i]!]);
    },
  };
}

type Variants = Readonly<Record<number, Fields>>;

/** The object type of a tagged structure: one member per variant, told apart by the tag field. */
export type Tagged<F extends Fields, Tag extends keyof F & string, V extends Variants> = {
  [K in keyof V & number]: Simplify<{ [P in Tag]: K } & InferFields<Omit<F, Tag>> & InferFields<V[K]>>;
}[keyof V & number];

/**
 * A structure whose last fields depend on one of its first ones (TPMT_* with a TPMU_* inside). A tag without a variant
 * is refused with `unknown`, the response code of the selector's own type.
 */
export function tagged<const F extends Fields, const Tag extends keyof F & string, const V extends Variants>(
  common: F,
  tag: Tag,
  variants: V,
  unknown: number,
): Schema<Tagged<F, Tag, V>> {
  const names = Object.keys(common);
  const schemas = Object.values(common);
  const byTag = new Map(
    Object.entries(variants).map(([key, fields]) => [
      Number(key),
      { names: Object.keys(fields), schemas: Object.values(fields) },
    ]),
  );
  const count = names.length;
  return {
    shape: { kind: 'tagged', common, tag, variants },
    read(r) {
      const value: Record<string, unknown> = {};
      for (let i = 0; i < count; i++) {
        const field = schemas[i]!.read(r);
        value[names[i]!] = field;
        if (names[i] === tag && !byTag.has(field as number)) throw new TpmError(unknown);
      }
      const variant = byTag.get(value[tag] as number)!; // checked when the tag was read
      for (let i = 0; i < variant.names.length; i++) value[variant.names[i]!] = variant.schemas[i]!.read(r);
      return value as Tagged<F, Tag, V>; // built from these fields and this variant
    },
    write(w, v) {
      const value = v as Record<string, unknown>;
      for (let i = 0; i < count; i++) schemas[i]!.write(w, value[names[i]!]);
      const variant = byTag.get(value[tag] as number);
      if (variant === undefined) throw new TpmError(unknown);
      for (let i = 0; i < variant.names.length; i++) variant.schemas[i]!.write(w, value[variant.names[i]!]);
    },
  };
}

/** One of the listed numbers, else `code`. */
export function oneOf<const T extends number>(base: Schema<number>, values: readonly T[], code: number): Schema<T> {
  const allowed = new Set<number>(values);
  return {
    shape: { kind: 'number', bytes: widthOf(base), values },
    read(r) {
      const value = base.read(r);
      if (!allowed.has(value)) throw new TpmError(code);
      return value as T; // a member of `values`
    },
    write: (w, v) => base.write(w, v),
  };
}

/** TPMI_ALG_*: one of the listed algorithms, else `code`. One that the profile switches off counts as unlisted. */
export function algorithm<const T extends number>(values: readonly T[], code: number): Schema<T> {
  const listed = oneOf(u16, values, code);
  return {
    shape: { kind: 'number', bytes: 2, values },
    read(r) {
      const value = listed.read(r);
      if (r.disabled?.has(value)) throw new TpmError(code);
      return value;
    },
    write: listed.write,
  };
}

/** A number that must satisfy `accepts`, else `code`. */
export function where(base: Schema<number>, accepts: (value: number) => boolean, code: number): Schema<number> {
  return {
    shape: { kind: 'number', bytes: widthOf(base) },
    read(r) {
      const value = base.read(r);
      if (!accepts(value)) throw new TpmError(code);
      return value;
    },
    write: (w, v) => base.write(w, v),
  };
}

/** TPMA_*: named bits of one number, also reachable as properties; a bit without a name is TPM_RC_RESERVED_BITS. */
export function attributes<const B extends Readonly<Record<string, number>>>(
  base: Schema<number>,
  bits: B,
): Schema<number> & Readonly<B> & { readonly bits: B } {
  const all = Object.values(bits).reduce((mask, bit) => mask | bit, 0);
  return {
    ...bits,
    bits,
    shape: { kind: 'attributes', bytes: widthOf(base), bits: Object.values(bits) },
    read(r: Reader) {
      const value = base.read(r);
      if ((value & ~all) !== 0) throw new TpmError(TPM_RC.RESERVED_BITS);
      return value;
    },
    write: (w: Writer, v: number) => base.write(w, v),
  };
}

/** Used again and again, for making one costs more than most values take to write. */
let spare: Writer | undefined = new Writer(4096);

/** The bytes of a value. */
export function encode<T>(schema: Schema<T>, value: T): Uint8Array {
  const writer = spare ?? new Writer();
  spare = undefined; // a schema may itself encode
  try {
    schema.write(writer, value);
    return writer.finish();
  } finally {
    writer.buffer.fill(0, 0, writer.pos); // it may have been secret
    writer.pos = 0;
    spare = writer;
  }
}

/** The value of bytes; bytes left over are TPM_RC_SIZE. */
export function decode<T>(schema: Schema<T>, bytes: Uint8Array): T {
  const reader = new Reader(bytes);
  const value = schema.read(reader);
  if (reader.remaining !== 0) throw new TpmError(TPM_RC.SIZE);
  return value;
}
