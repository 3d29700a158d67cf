/** Replay of an event log: the register values that its events lead to. */
import { latin1 } from '../bytes.ts';
import { hashById } from '../hash.ts';
import { EventLogError, type LogEvent, NO_REGISTER, type ParsedLog } from './format.ts';
import { EVENT } from './types.ts';

const REGISTERS = 24;
/** PCR 17 to 22 are all ones until a dynamic launch resets them. PC Client Platform TPM Profile 1.05, section 4.6.2. */
const DYNAMIC_FIRST = 17;
const DYNAMIC_LAST = 22;
const LOCALITY_SIGNATURE = 'StartupLocality\0';
const HCRTM_LOCALITY = 4;

/**
 * Values of PCR 0 to 23 (or measurement registers 0 to 4) in the bank `algorithm`, a TPM_ALG_ID. Throws EventLogError
 * `log-banks` when the log has no such bank or it cannot be computed.
 */
export function replayLog(log: ParsedLog, algorithm: number): Uint8Array[] {
  const bank = log.algorithms.indexOf(algorithm);
  const hash = hashById(algorithm);
  if (bank < 0 || hash === undefined) {
    throw new EventLogError('log-banks', `the log has no bank 0x${algorithm.toString(16)} that can be replayed`);
  }
  const { size } = hash;
  // Each register with room behind it for the digest that it is extended with.
  const registers = initialRegisters(log, size);
  for (const event of log.events) {
    const { pcr, type } = event;
    if (type === EVENT.NO_ACTION || pcr === NO_REGISTER) continue;
    const register = registers[pcr] as Uint8Array; // a read event has a register below 24
    event.copyDigest(bank, register, size);
    hash.digestInto(register, register, 0);
  }
  return registers.map((register) => register.slice(0, size));
}

/** Every bank that can be computed, by TPM_ALG_ID. */
export function replayAll(log: ParsedLog): Map<number, Uint8Array[]> {
  const computable = log.algorithms.filter((algorithm) => hashById(algorithm) !== undefined);
  return new Map(computable.map((algorithm) => [algorithm, replayLog(log, algorithm)]));
}

function initialRegisters(log: ParsedLog, size: number): Uint8Array[] {
  const launched = log.events.some(
    ({ pcr, type }) => pcr >= DYNAMIC_FIRST && pcr <= DYNAMIC_LAST && type !== EVENT.NO_ACTION,
  );
  const registers = Array.from({ length: REGISTERS }, (_, index) => {
    const untouched = !launched && index >= DYNAMIC_FIRST && index <= DYNAMIC_LAST;
    return untouched ? new Uint8Array(2 * size).fill(0xff) : new Uint8Array(2 * size);
  });
  const first = registers[0];
  if (first !== undefined) first[size - 1] = startupLocality(log);
  return registers;
}

/**
 * The locality that TPM2_Startup came from, which is what PCR 0 starts at: logged as StartupLocality (section
 * 10.4.5.3), or 4 where an H-CRTM event precedes it; else 0.
 */
export function startupLocality(log: ParsedLog): number {
  for (const event of log.events) {
    const locality = startupLocalityOf(event);
    if (locality !== undefined) return locality;
    if (event.type === EVENT.EFI_HCRTM_EVENT && event.pcr === 0) return HCRTM_LOCALITY;
  }
  return 0;
}

/** The locality that one event states; undefined when it is no StartupLocality event. */
export function startupLocalityOf(event: LogEvent): number | undefined {
  if (event.type !== EVENT.NO_ACTION || event.pcr !== 0) return undefined;
  const { data } = event;
  if (data.length !== LOCALITY_SIGNATURE.length + 1) return undefined;
  return latin1(data, 0, LOCALITY_SIGNATURE.length) === LOCALITY_SIGNATURE ? data.at(-1) : undefined;
}
