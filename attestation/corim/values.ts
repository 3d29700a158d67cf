/**
 * Reference values of a machine with a TPM in CoRIM: what registers may hold, as `integrity-registers` (the key is the
 * PCR's number, a digest's algorithm its bank), and what events may be measured into one, as `digests` under a
 * measurement key that is the PCR's number. Other measurements are for other attesters.
 */
import { toHex } from '../bytes.ts';
import { hashByName } from '../hash.ts';
import { bad, type Comid, type Digest, type Environment, type Triple } from './comid.ts';
import type { Corim } from './corim.ts';

/** Accepted digests, hexadecimal, by TPM_ALG_ID of the bank, then by PCR. */
export type PcrDigests = ReadonlyMap<number, ReadonlyMap<number, ReadonlySet<string>>>;

export interface MachineValues {
  readonly registers: PcrDigests;
  readonly events: PcrDigests;
}

/** Members that an environment must have to count; none for any environment. */
export interface EnvironmentFilter {
  readonly vendor?: string | undefined;
  readonly model?: string | undefined;
}

/** Names of the IANA Named Information registry, and SHA-1's, which it has not. */
const BANKS: Readonly<Record<string, string>> = {
  'sha-1': 'sha1',
  'sha-256': 'sha256',
  'sha-384': 'sha384',
  'sha-512': 'sha512',
};
const PCR_COUNT = 24;

/** The values of one CoMID. Throws CorimError for a register or digest that no TPM has. */
export function machineValues(comid: Comid, filter: EnvironmentFilter = {}): MachineValues {
  const registers: Collected = new Map();
  const events: Collected = new Map();
  for (const { measurements } of comid.references.filter((triple) => isOf(triple, filter))) {
    for (const { key, digests, integrityRegisters } of measurements) {
      for (const [name, values] of integrityRegisters ?? []) collect(registers, pcrOf(name), values);
      if (digests !== undefined && isPcr(key?.value)) collect(events, pcrOf(key.value), digests);
    }
  }
  return { registers, events };
}

type Collected = Map<number, Map<number, Set<string>>>;

const isOf = ({ environment }: Triple, { vendor, model }: EnvironmentFilter): boolean =>
  matches(environment, 'vendor', vendor) && matches(environment, 'model', model);
const matches = (environment: Environment, member: 'vendor' | 'model', wanted: string | undefined): boolean =>
  wanted === undefined || environment[member] === wanted;

const isPcr = (value: unknown): value is number => typeof value === 'number';

function pcrOf(name: string | number): number {
  const pcr = /^\d{1,2}$/.test(String(name)) ? Number(name) : PCR_COUNT;
  if (pcr >= PCR_COUNT) throw bad(`register "${name}" is not a PCR`);
  return pcr;
}

function collect(into: Collected, pcr: number, digests: readonly Digest[]): void {
  for (const { algorithm, value } of digests) {
    const bank = hashByName(BANKS[algorithm] ?? algorithm);
    if (bank === undefined || value.length !== bank.size) throw bad(`a digest "${algorithm}" of ${value.length} bytes`);
    const ofBank = into.get(bank.id) ?? new Map<number, Set<string>>();
    into.set(bank.id, ofBank.set(pcr, (ofBank.get(pcr) ?? new Set<string>()).add(toHex(value))));
  }
}

/** Tags by identifier: only the newest version of each counts. draft-ietf-rats-corim, section 5.1.1. */
export function newestVersions(corims: readonly Corim[]): ReadonlyMap<string, number> {
  const newest = new Map<string, number>();
  for (const { id, version } of corims.flatMap(({ comids }) => comids)) {
    newest.set(id, Math.max(version, newest.get(id) ?? 0));
  }
  return newest;
}

/** Whether a manifest has a value of a register or of an event. Throws CorimError as `machineValues`. */
export const hasMachineValues = ({ comids }: Corim): boolean =>
  comids.some((comid) => {
    const { registers, events } = machineValues(comid);
    return registers.size > 0 || events.size > 0;
  });
