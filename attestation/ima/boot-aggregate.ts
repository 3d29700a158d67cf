/**
 * The first entry of IMA's list: a hash over the boot registers as they stood when the kernel took over, which ties the
 * list to this boot. security/integrity/ima/ima_crypto.c, ima_calc_boot_aggregate_tfm.
 */
import { concatBytes, sameBytes } from '../bytes.ts';
import { hashByName, SHA1 } from '../hash.ts';
import { type ImaEntry, ImaError, type ImaFields, imaFields } from './list.ts';

const NAME = 'boot_aggregate';
/** Of the SHA-1 bank the kernel hashes PCR 0-7, as it did before there were others; of other banks PCR 8 and 9 too. */
const LAST_OF_SHA1 = 7;
const LAST = 9;

/** Whether an entry is one, and over these registers; undefined when not all of them are known. */
export function isBootAggregate(
  entry: ImaEntry,
  pcrs: ReadonlyMap<number, ReadonlyMap<number, Uint8Array>>,
): boolean | undefined {
  const { name, algorithm, digest } = fieldsOf(entry);
  const bank = hashByName(algorithm);
  if (name !== NAME || bank === undefined) return false;
  const last = bank === SHA1 ? LAST_OF_SHA1 : LAST;
  const values = Array.from({ length: last + 1 }, (_, index) => pcrs.get(bank.id)?.get(index));
  const known = values.filter((value) => value !== undefined);
  if (known.length !== values.length) return undefined;
  return sameBytes(bank.digest(concatBytes(...known)), digest);
}

/** An entry that is none of its template is no boot aggregate either. */
function fieldsOf(entry: ImaEntry): Pick<ImaFields, 'name' | 'algorithm' | 'digest'> {
  try {
    return imaFields(entry);
  } catch (error) {
    if (error instanceof ImaError) return { name: '', algorithm: '', digest: new Uint8Array() };
    throw error;
  }
}
