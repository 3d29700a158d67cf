/** What the fuzzer has learnt of the TPM it drives: live handles and their names, blobs, contexts. */
import type { Random } from '../support/random.ts';

/** A session as its client knows it: unbound and unsalted, with no parameter encryption key. */
export interface KnownSession {
  readonly handle: number;
  readonly policy: boolean;
  nonceTpm: Uint8Array;
}

/** Handles that every TPM has. */
const PERMANENT = [
  0x40000001, 0x40000007, 0x40000009, 0x4000000a, 0x4000000b, 0x4000000c, 0x4000000d, 0, 1, 7, 8, 16, 17, 22, 23,
];
/** NV indices that the fuzzer uses, and persistent handles. */
export const NV_INDICES = [0x01500000, 0x01500001, 0x01500002, 0x01500003, 0x01c00002];
export const PERSISTENT = [0x81000000, 0x81000001, 0x81800000];
const KEPT = 16;

export class Model {
  /** Handles and names of loaded objects, NV indices and sequences (whose name is empty). */
  readonly names = new Map<number, Uint8Array>();
  readonly sessions = new Map<number, KnownSession>();
  readonly blobs: { readonly inPrivate: Uint8Array; readonly inPublic: Uint8Array; readonly parent: number }[] = [];
  readonly contexts: Uint8Array[] = [];

  /** A handle of a kind: a live one where there is, sometimes any. */
  handle(accepts: (handle: number) => boolean, random: Random): number {
    if (random.oneIn(40)) return random.u32();
    const live = [...this.names.keys(), ...this.sessions.keys(), ...PERMANENT].filter(accepts);
    if (live.length > 0 && !random.oneIn(20)) return random.pick(live);
    const any = [...NV_INDICES, ...PERSISTENT, 0x80000000, 0x80000001, 0x02000000, 0x03000000].filter(accepts);
    return any.length > 0 ? random.pick(any) : random.u32();
  }

  /** Any handle that can be flushed. */
  loaded(random: Random): number {
    const handles = [...this.names.keys(), ...this.sessions.keys()];
    return handles.length > 0 ? random.pick(handles) : 0x80000000;
  }

  forget(handle: number): void {
    this.names.delete(handle);
    this.sessions.delete(handle);
  }

  /** A story has flushed what was loaded. */
  forgetLoaded(): void {
    this.sessions.clear();
    for (const handle of [...this.names.keys()]) if (handle >>> 24 === 0x80) this.names.delete(handle);
  }

  /** Remember the last few. */
  keep<T>(list: T[], value: T): void {
    list.push(value);
    if (list.length > KEPT) list.shift();
  }
}
