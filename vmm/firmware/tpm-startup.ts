/**
 * What firmware does with a TPM before an operating system runs: start it, extend measurements, close the platform
 * hierarchy. Four commands, written out, so that the monitor's boot path needs no client library. TPM 2.0 Library,
 * Part 3: sections 9.3 (Startup), 22.2 (PCR_Extend), 24.8 (HierarchyChangeAuth) and 30.2 (GetCapability).
 */
import { createHash, randomBytes } from 'node:crypto';
import type { TpmDevice } from '../../tpm/device.ts';

/** Something to be extended into a PCR and written to the event log. */
export interface MeasuredEvent {
  readonly pcr: number;
  /** Event type, EV_*. */
  readonly type: number;
  /** What is hashed, in pieces; every active PCR bank is extended with their digest. */
  readonly measured: readonly Uint8Array[];
  /** The event field of the log. */
  readonly event: Uint8Array;
}

/** One entry of the log: what `EventLogWriter.append` takes. */
export interface LogEntry {
  readonly pcr: number;
  readonly type: number;
  /** TPM_ALG_ID -> digest, for each active bank. */
  readonly digests: ReadonlyMap<number, Uint8Array>;
  readonly event: Uint8Array;
}

export interface MeasuredLog {
  /** TPM_ALG_IDs of the active banks. */
  readonly banks: readonly number[];
  readonly entries: readonly LogEntry[];
}

export class FirmwareError extends Error {
  readonly code = 'FIRMWARE_TPM';
  readonly remedy = "check the partition's TPM: power-cycle it, or give the partition another";
  /** What the TPM answered, where it answered. */
  readonly responseCode: number | undefined;
  constructor(message: string, options?: ErrorOptions & { readonly responseCode?: number | undefined }) {
    super(message, options);
    this.name = 'FirmwareError';
    this.responseCode = options?.responseCode;
  }
}

/** Banks that we can hash for: TPM_ALG_ID -> OpenSSL's name. Part 2, table 9. */
const HASHES: ReadonlyMap<number, string> = new Map([
  [0x0004, 'sha1'],
  [0x000b, 'sha256'],
  [0x000c, 'sha384'],
  [0x000d, 'sha512'],
]);

const CC = { HIERARCHY_CHANGE_AUTH: 0x129, STARTUP: 0x144, GET_CAPABILITY: 0x17a, PCR_EXTEND: 0x182 } as const;
const ST = { NO_SESSIONS: 0x8001, SESSIONS: 0x8002 } as const;
/** TPM_RC_INITIALIZE: TPM2_Startup is not expected. */
const RC_INITIALIZE = 0x100;
const CAP_PCRS = 5;
const RS_PW = 0x40000009;
const RH_PLATFORM = 0x4000000c;
/** TPM_RC_BAD_AUTH of session 1, and TPM_RC_HIERARCHY of handle 1: somebody has closed it before. */
const RC_CLOSED: ReadonlySet<number> = new Set([0x9a2, 0x185]);

type Executes = Pick<TpmDevice, 'execute'>;

/** TPM2_Startup(CLEAR); a TPM that was started before is taken as it is. Throws FirmwareError when it refuses. */
export async function startTpm(tpm: Executes): Promise<void> {
  await run(tpm, ST.NO_SESSIONS, CC.STARTUP, u16(0)).catch((error: unknown) => {
    if (!(error instanceof FirmwareError) || error.responseCode !== RC_INITIALIZE) throw error;
  });
}

/**
 * Take the platform hierarchy out of the guest's hands until the next start: its authorization becomes a value that
 * nobody knows, as firmware does before it boots an operating system. One that is closed already stays so.
 */
export async function closePlatformHierarchy(tpm: Executes): Promise<void> {
  const secret = randomBytes(32);
  const newAuth = [u16(secret.length), secret];
  await run(tpm, ST.SESSIONS, CC.HIERARCHY_CHANGE_AUTH, u32(RH_PLATFORM), ...EMPTY_PASSWORD, ...newAuth).catch(
    (error: unknown) => {
      const closed = error instanceof FirmwareError && RC_CLOSED.has(error.responseCode ?? 0);
      if (!closed) throw error;
    },
  );
  secret.fill(0);
}

/** Extend the events in order into all active banks; gives what the log must hold. Throws FirmwareError. */
export async function measure(tpm: Executes, events: readonly MeasuredEvent[]): Promise<MeasuredLog> {
  const banks = await activeBanks(tpm);
  const entries: LogEntry[] = [];
  for (const { pcr, type, measured, event } of events) {
    const digests = new Map<number, Uint8Array>();
    for (const bank of banks) {
      const hash = createHash(HASHES.get(bank) ?? 'sha256');
      for (const piece of measured) hash.update(piece);
      digests.set(bank, hash.digest());
    }
    await run(
      tpm,
      ST.SESSIONS,
      CC.PCR_EXTEND,
      u32(pcr),
      ...EMPTY_PASSWORD,
      u32(digests.size),
      ...[...digests].flatMap(([bank, digest]) => [u16(bank), digest]),
    );
    entries.push({ pcr, type, digests, event });
  }
  return { banks, entries };
}

/** Banks in which at least one PCR is allocated. A bank that we cannot hash for would be left behind: refused. */
async function activeBanks(tpm: Executes): Promise<number[]> {
  const response = await run(tpm, ST.NO_SESSIONS, CC.GET_CAPABILITY, u32(CAP_PCRS), u32(0), u32(1));
  const view = new DataView(response.buffer, response.byteOffset, response.byteLength);
  const banks: number[] = [];
  try {
    // After the header: moreData, capability, then TPML_PCR_SELECTION.
    let at = 10 + 1 + 4;
    const count = view.getUint32(at);
    at += 4;
    for (let i = 0; i < count; i++) {
      const bank = view.getUint16(at);
      const size = view.getUint8(at + 2);
      const selected = response.subarray(at + 3, at + 3 + size).some((byte) => byte !== 0);
      if (selected) banks.push(bank);
      at += 3 + size;
    }
  } catch (cause) {
    throw new FirmwareError('the TPM describes its PCR banks in a malformed response', { cause });
  }
  const unknown = banks.find((bank) => !HASHES.has(bank));
  if (unknown !== undefined) {
    throw new FirmwareError(`PCR bank 0x${unknown.toString(16)} is active, for which we have no hash; deactivate it`);
  }
  return banks;
}

async function run(tpm: Executes, tag: number, code: number, ...parts: Uint8Array[]): Promise<Uint8Array> {
  const body = Buffer.concat(parts);
  const response = await tpm.execute(Buffer.concat([u16(tag), u32(10 + body.length), u32(code), body]), 0);
  const rc = response.length < 10 ? undefined : new DataView(response.buffer, response.byteOffset).getUint32(6);
  if (rc !== 0) {
    const said = rc === undefined ? 'a malformed response' : `response code 0x${rc.toString(16)}`;
    throw new FirmwareError(`the TPM answers command 0x${code.toString(16)} of the boot path with ${said}`, {
      responseCode: rc,
    });
  }
  return response;
}

const u16 = (value: number) => Uint8Array.of(value >>> 8, value & 0xff);
const u32 = (value: number) => Uint8Array.of(value >>> 24, (value >>> 16) & 0xff, (value >>> 8) & 0xff, value & 0xff);
/** An authorization area of one empty password, its size in front. */
const EMPTY_PASSWORD = [u32(9), u32(RS_PW), new Uint8Array(5)];
