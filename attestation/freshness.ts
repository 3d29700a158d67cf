/**
 * How old evidence is, where nobody asked for it with a nonce. Evidence carries one clock that is signed: the TPM's, in the
 * quote. It tells time only from a moment when somebody knew both, so that moment is recorded, with evidence over a fresh
 * nonce. Who holds the owner's authorization can set that clock forward (TPM2_ClockSet): this finds replays by others, not
 * evidence that a machine's owner made in advance. No host's own word for the time is believed.
 */
import { type Static, Type } from 'typebox';
import { Check } from 'typebox/value';
import { toHex } from './bytes.ts';
import { decodeCbor } from './cbor.ts';
import { readForeignSign1 } from './cose/sign1.ts';
import type { Evidence } from './evidence.ts';
import { decodeQuote } from './quote.ts';
import { tpmName } from './verifier/tpm-public.ts';

const ClockRecordSchema = Type.Object(
  {
    /** TPM name of the attestation key, hexadecimal. */
    ak: Type.String({ pattern: '^([0-9a-f]{2})+$' }),
    clock: Type.String({ pattern: '^[0-9]{1,20}$' }),
    resetCount: Type.Integer({ minimum: 0 }),
    restartCount: Type.Integer({ minimum: 0 }),
    at: Type.String({ format: 'date-time' }),
  },
  { additionalProperties: false },
);

/** What the clock of a TPM (milliseconds, in decimal) said at a time. JSON. */
export type ClockRecord = Static<typeof ClockRecordSchema>;

/** A verdict on the age of evidence. */
export interface Freshness {
  readonly state: 'affirming' | 'unverified' | 'expired' | 'contraindicated';
  readonly detail: string;
}

/** Throws TypeError for what is no record. */
export function parseClockRecord(value: unknown): ClockRecord {
  if (Check(ClockRecordSchema, value) && !Number.isNaN(Date.parse(value.at))) return value;
  throw new TypeError('not the record of a TPM’s clock');
}

/** The clock of evidence that was not refused (`Appraised.clock`), by its attestation key (TPMT_PUBLIC), at a time. */
export function clockRecord(akPublic: Uint8Array, clock: object, at: Date): ClockRecord {
  // Every format keeps these of a good quote.
  const { clock: ticks, resetCount, restartCount } = clock as Omit<ClockRecord, 'ak' | 'at'>;
  return { ak: toHex(tpmName(akPublic)), clock: ticks, resetCount, restartCount, at: at.toISOString() };
}

/** The clock of a TPM runs at most so much faster than time: Part 1, section 36.3. */
const FASTEST = 1.15;

/** The age of a quote by its clock; at most `seconds` are wanted. */
export function freshnessByClock(
  quoted: Omit<ClockRecord, 'at'>,
  record: ClockRecord,
  seconds: number,
  now: Date,
): Freshness {
  if (quoted.ak !== record.ak) return unverified('the clock of another TPM was recorded');
  const advance = Number(BigInt(quoted.clock) - BigInt(record.clock));
  const sameBoot = quoted.resetCount === record.resetCount && quoted.restartCount === record.restartCount;
  const isBehind = sameBoot
    ? advance < 0
    : quoted.resetCount < record.resetCount ||
      (quoted.resetCount === record.resetCount && quoted.restartCount < record.restartCount);
  if (isBehind) return { state: 'contraindicated', detail: 'older than the evidence that was recorded' };
  if (!sameBoot) return unverified('the TPM was started again since its clock was recorded: record it anew');
  const age = (now.getTime() - Date.parse(record.at) - advance / FASTEST) / 1000;
  if (age < 0) return { state: 'contraindicated', detail: 'the clock of this TPM has run ahead of time: it was set' };
  const told = `at most ${Math.ceil(age)} s old by the clock of its TPM`;
  if (age > seconds) return { state: 'expired', detail: `${told}, where ${seconds} are wanted` };
  return { state: 'affirming', detail: told };
}

const unverified = (detail: string): Freshness => ({ state: 'unverified', detail });

/** What nobody vouches for the age of. */
export const NOBODY_ASKED = unverified('no nonce was given: this evidence may be of any age');

const EAT_NONCE = 10;

/** The nonce that a host's evidence says it is over, where a partition's report says so; nobody's word until appraised. */
export function claimedNonce({ partition }: Evidence): Uint8Array | undefined {
  if (partition === undefined) return undefined;
  try {
    const { payload } = readForeignSign1(partition);
    const claims = payload && decodeCbor(payload);
    const nonce: unknown = claims instanceof Map ? claims.get(EAT_NONCE) : undefined;
    return nonce instanceof Uint8Array ? nonce : undefined;
  } catch {
    return undefined;
  }
}

/** What a quote was made over; nobody's word until appraised, undefined for what is no quote. */
export function quotedNonce(quoted: Uint8Array): Uint8Array | undefined {
  try {
    return decodeQuote(quoted).extraData;
  } catch {
    return undefined;
  }
}
