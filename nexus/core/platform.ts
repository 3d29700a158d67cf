/** Devices, the TPM gate, report binding, counters, the boot lock, and what a partition may ask about itself. */
import {
  COUNTER_MAX,
  COUNTERS,
  D_ASSIGNED,
  D_FREE,
  DEVICES,
  GATE_ADMIN,
  GATE_READ,
  KIND_TRUSTED,
  LOCALITY_ROOT,
  LOCALITY_STANDARD,
  LOCALITY_TRUSTED,
  OK,
  PARTITIONS,
  ROOT,
  VERSION,
} from './constants.ts';
import * as E from './errors.ts';
import { accessFrame, alive, running } from './rules.ts';
import {
  bootLocked,
  counterValue,
  deviceEpoch,
  deviceOwner,
  deviceState,
  partitionBind0,
  partitionBind1,
  partitionEpoch,
  partitionKind,
} from './state.ts';

/** The version of these calls. */
export function version(p: number): number {
  if (!running(p)) return E.CALLER;
  return VERSION;
}

/** The caller's own number. */
export function self(p: number): number {
  if (!running(p)) return E.CALLER;
  return p;
}

/** Device d belongs to a partition that has not been destroyed since. */
function assigned(d: number): boolean {
  return deviceState[d]! === D_ASSIGNED && deviceEpoch[d]! === partitionEpoch[deviceOwner[d]!]!;
}

/** Give device d to partition q: its DMA reaches what q reaches, as long as q lives. */
export function deviceAssign(p: number, d: number, q: number): number {
  if (p !== ROOT) return E.DENIED;
  if (d >= DEVICES || q >= PARTITIONS || q === ROOT) return E.RANGE;
  if (!alive(q)) return E.STATE;
  if (assigned(d)) return E.BUSY;
  deviceState[d] = D_ASSIGNED;
  deviceOwner[d] = q;
  deviceEpoch[d] = partitionEpoch[q]!;
  return OK;
}

/** Take device d back to root. */
export function deviceRevoke(p: number, d: number): number {
  if (p !== ROOT) return E.DENIED;
  if (d >= DEVICES) return E.RANGE;
  if (deviceState[d]! !== D_ASSIGNED) return E.STATE;
  deviceState[d] = D_FREE;
  return OK;
}

/** The memory rule for the DMA of device d: it reaches what its owner reaches. */
export function accessDevice(d: number, gpa: number, need: number): number {
  if (d >= DEVICES) return E.RANGE;
  if (!assigned(d)) return E.STATE;
  return accessFrame(deviceOwner[d]!, gpa, need);
}

/**
 * Query: may the caller send the platform TPM a command of this class (GATE_*) at this locality? Localities 3 and 4
 * are the late launch's alone. Standard partitions read at locality 0, trusted ones also use keys, at up to locality
 * 2; root does everything at up to locality 1, but administers only before the boot lock.
 */
export function gate(p: number, kind: number, locality: number): number {
  if (!running(p)) return E.CALLER;
  if (kind > GATE_ADMIN || locality > LOCALITY_TRUSTED) return E.RANGE;
  if (p === ROOT) {
    if (locality > LOCALITY_ROOT) return E.DENIED;
    if (kind === GATE_ADMIN && bootLocked[0]! !== 0) return E.LOCKED;
    return OK;
  }
  if (kind === GATE_ADMIN) return E.DENIED;
  if (partitionKind[p]! === KIND_TRUSTED) return OK;
  if (kind !== GATE_READ || locality !== LOCALITY_STANDARD) return E.DENIED;
  return OK;
}

/** Put two words of the caller's own into its next reports. */
export function bind(p: number, w0: number, w1: number): number {
  if (!running(p)) return E.CALLER;
  if (partitionKind[p]! !== KIND_TRUSTED) return E.DENIED;
  partitionBind0[p] = w0;
  partitionBind1[p] = w1;
  return OK;
}

/** Increment the caller's counter k; the result is its new value. */
export function counterIncrement(p: number, k: number): number {
  if (!running(p)) return E.CALLER;
  if (k >= COUNTERS) return E.RANGE;
  if (counterValue[p * COUNTERS + k]! >= COUNTER_MAX) return E.EXHAUSTED;
  counterValue[p * COUNTERS + k] = counterValue[p * COUNTERS + k]! + 1;
  return counterValue[p * COUNTERS + k]!;
}

/** End the boot phase, one way: no partitions for debugging, no administration of the TPM. */
export function bootLock(p: number): number {
  if (p !== ROOT) return E.DENIED;
  if (bootLocked[0]! !== 0) return E.LOCKED;
  bootLocked[0] = 1;
  return OK;
}
