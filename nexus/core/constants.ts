/**
 * Sizes, states and permissions of the core. The sizes are parameters: the proof treats them as unknowns
 * within the bounds of `nexus/proof/state.ts`, so changing one here needs no new proof. All values are u32.
 */

export const PARTITIONS = 64;
/** 4 KiB frames: 2^20 are 4 GiB. */
export const FRAMES = 0x100000;
/** Guest-physical pages of a partition. */
export const GPA_PAGES = 0x100000;
/** Grant slots, channel ends and counters, each per partition: a shared table would be a covert channel. */
export const GRANTS = 1024;
export const CHANNELS = 256;
export const COUNTERS = 8;
export const DEVICES = 64;

export const VERSION = 1;
/** The partition that supplies devices and scheduling; outside the trust of the others. */
export const ROOT = 0;

/** Partition life-cycle. */
export const P_FREE = 0;
export const P_INIT = 1;
export const P_SEALED = 2;
export const P_RUNNING = 3;
export const P_PAUSED = 4;
export const P_STOPPED = 5;
/** Partition kinds; root has kind 0. */
export const KIND_STANDARD = 1;
export const KIND_TRUSTED = 2;
export const FLAG_DEBUG = 1;
/** An id is retired before its epoch could repeat. */
export const EPOCH_MAX = 0xfffffff0;

/** Frame states. DIRTY: given back by its owner and not yet scrubbed. */
export const F_FREE = 0;
export const F_USED = 1;
export const F_DIRTY = 2;

export const PERM_READ = 1;
export const PERM_WRITE = 2;
export const PERM_READ_WRITE = 3;

/** Grant states and kinds. SHARE: both have it. LEND: its recipient alone, until it gives it back. DONATE: moves. */
export const G_FREE = 0;
export const G_OFFERED = 1;
export const G_MAPPED = 2;
export const GRANT_SHARE = 0;
export const GRANT_LEND = 1;
export const GRANT_DONATE = 2;

/** Channel ends. */
export const C_CLOSED = 0;
export const C_OPEN = 1;

/** Devices: free ones are the root's. */
export const D_FREE = 0;
export const D_ASSIGNED = 1;

/** Classes of TPM commands that the gate tells apart, and the highest locality a partition may ever use. */
export const GATE_READ = 0;
export const GATE_USE = 1;
export const GATE_ADMIN = 2;
export const LOCALITY_STANDARD = 0;
export const LOCALITY_ROOT = 1;
export const LOCALITY_TRUSTED = 2;

/** A counter stays below the errors, so that a result is one or the other. */
export const COUNTER_MAX = 0xfffffeff;

/** Results: below ERROR_BASE a value (0: done), above it a refusal of `errors.ts`. */
export const OK = 0;
export const ERROR_BASE = 0xffffff00;
