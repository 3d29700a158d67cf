/** A session as octets: in a saved context and in a saved volatile state. */
import {
  type Infer,
  type Schema,
  struct,
  TPMI_ALG_HASH,
  TPMT_SYM_DEF,
  u8,
  u32,
  u64,
  yesNo,
} from '../structures/index.ts';
import { bytes } from './persist.ts';
import type { Session } from './sessions.ts';

/** A value that may be absent: a presence octet, then the value. */
export function optional<T>(inner: Schema<T>): Schema<T | undefined> {
  return {
    read: (r) => (yesNo.read(r) ? inner.read(r) : undefined),
    write(w, v) {
      yesNo.write(w, v !== undefined);
      if (v !== undefined) inner.write(w, v);
    },
  };
}

const TYPES = ['hmac', 'policy', 'trial'] as const;
const TYPE: Schema<Session['type']> = {
  read: (r) => TYPES[r.u8() % TYPES.length]!, // written by this schema only
  write: (w, v) => u8.write(w, TYPES.indexOf(v)),
};

const POLICY = struct({
  digest: bytes,
  commandCode: optional(u32),
  cpHash: optional(bytes),
  nameHash: optional(bytes),
  templateHash: optional(bytes),
  parametersHash: optional(bytes),
  locality: u8,
  authValueNeeded: yesNo,
  passwordNeeded: yesNo,
  physicalPresence: yesNo,
  timeout: u64,
  pcrCounter: optional(u32),
  nvWritten: optional(yesNo),
});

export const SESSION = struct({
  handle: u32,
  type: TYPE,
  authHash: TPMI_ALG_HASH,
  symmetric: TPMT_SYM_DEF,
  sessionKey: bytes,
  nonceTPM: bytes,
  bound: optional(struct({ handle: u32, name: bytes, authValue: bytes })),
  startTime: u64,
  audit: optional(struct({ digest: bytes })),
  policy: POLICY,
});

/** Reading gives every field, present or undefined; the inferred type has optional ones. */
export const sessionOf = (record: Infer<typeof SESSION>): Session => record as Session;
