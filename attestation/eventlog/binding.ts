/**
 * Which events' data can be believed. Replay proves the digests of a log; that an event's data is what was measured
 * follows only where the digest is over it. Firmware writes some types of which that must hold, and others (images,
 * firmware volumes) whose data merely describes what was hashed.
 */
import { concatBytes, ShortError } from '../bytes.ts';
import { type HashAlgorithm, hashById } from '../hash.ts';
import { readVariable } from './efi.ts';
import type { LogEvent, ParsedLog } from './format.ts';
import { type GrubText, grubText } from './meaning.ts';
import { EVENT } from './types.ts';

/**
 * `bound`: the digest is over the data, whole. `value`: it is over the value in it, so the name beside the value is the
 * attester's word (GRUB's prefixes, boot variables). `described`: the type's data only describes what was hashed.
 * `contradicted`: the type demands that the digest be over the data, and it is not.
 */
export type Binding = 'bound' | 'value' | 'described' | 'contradicted';

/** Types whose digest is over their whole data. Sections 10.4.1 and 3.3. */
const OVER_DATA = new Set<number>([
  EVENT.SEPARATOR,
  EVENT.EFI_VARIABLE_DRIVER_CONFIG,
  EVENT.EFI_GPT_EVENT,
  EVENT.EFI_ACTION,
  EVENT.S_CRTM_VERSION,
]);
/** Types where some write the data's digest and some do not. */
const PERHAPS = new Set<number>([
  EVENT.ACTION,
  EVENT.EFI_VARIABLE_BOOT,
  EVENT.EFI_VARIABLE_BOOT2,
  // Older shims hash something else than the event that they log.
  EVENT.EFI_VARIABLE_AUTHORITY,
  EVENT.EVENT_TAG,
  EVENT.IPL,
  EVENT.COMPACT_HASH,
  EVENT.POST_CODE,
  EVENT.EFI_HCRTM_EVENT,
  EVENT.NONHOST_INFO,
  EVENT.EFI_GPT_EVENT2,
]);
/** Section 10.4.1 has EV_EFI_VARIABLE_BOOT so; firmware of TPM 1.2 hashes the value of every variable alone. */
const VARIABLES = new Set<number>([
  EVENT.EFI_VARIABLE_BOOT,
  EVENT.EFI_VARIABLE_AUTHORITY,
  EVENT.EFI_VARIABLE_DRIVER_CONFIG,
]);

/** Whether an event of this type with another digest than of its data is contradicted. */
export const demandsBinding = (type: number): boolean => OVER_DATA.has(type);

/** In the bank `algorithm` (TPM_ALG_ID); other banks may differ only if the log was made up. */
export function bindingOf(log: ParsedLog, event: LogEvent, algorithm: number): Binding {
  if (!OVER_DATA.has(event.type) && !PERHAPS.has(event.type)) return 'described';
  const hash = hashById(algorithm);
  const digest = event.digestOf(log.algorithms.indexOf(algorithm));
  if (hash === undefined || digest === undefined) return OVER_DATA.has(event.type) ? 'contradicted' : 'described';
  const { data } = event;
  const grub = event.type === EVENT.IPL ? grubText(event) : undefined;
  // GRUB's text is likeliest to be hashed alone, so that is tried first; a large variable is likeliest hashed whole.
  if (grub !== undefined && isOfText(data, grub, hash, digest)) return 'value';
  if (hash.matches(data, digest)) return 'bound';
  const value = variableValue(event);
  if (value !== undefined && hash.matches(value, digest)) return 'value';
  return OVER_DATA.has(event.type) ? 'contradicted' : 'described';
}

/** GRUB hashes the text without the prefix that its event states, Red Hat's with the final NUL. */
function isOfText(data: Uint8Array, { from, to }: GrubText, hash: HashAlgorithm, digest: Uint8Array): boolean {
  if (hash.matches(data.subarray(from, to), digest)) return true;
  // What follows the text is its NUL, or nothing.
  const ended = to < data.length ? data.subarray(from, to + 1) : concatBytes(data.subarray(from), Uint8Array.of(0));
  return hash.matches(ended, digest);
}

/** The value of a variable, where its digest may be over that alone. */
function variableValue({ type, data }: LogEvent): Uint8Array | undefined {
  if (!VARIABLES.has(type)) return undefined;
  try {
    return readVariable(data).value;
  } catch (error) {
    if (error instanceof ShortError) return undefined;
    throw error;
  }
}
