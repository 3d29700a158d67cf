/**
 * Sizes, states, permissions and refusals of the core. The sizes are parameters: the proof treats them as unknowns
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

/** Results: below ERROR_BASE a value (0: done), above it a refusal. */
export const OK = 0;
export const ERROR_BASE = 0xffffff00;
/** An argument names nothing that exists, or is not one of the values it may have. */
export const E_RANGE = 0xffffff01;
/** The caller may not do this. */
export const E_DENIED = 0xffffff02;
/** The partition named is not in a state that allows this. */
export const E_STATE = 0xffffff03;
/** The resource named is in use. */
export const E_BUSY = 0xffffff04;
/** The caller is not running. */
export const E_CALLER = 0xffffff05;
/** The frame is not the caller's. */
export const E_OWNER = 0xffffff06;
/** The guest-physical page is taken. */
export const E_MAPPED = 0xffffff07;
/** Nothing is mapped at the guest-physical page. */
export const E_UNMAPPED = 0xffffff08;
/** The permission asked for exceeds the permission held. */
export const E_PERMISSION = 0xffffff09;
/** There is no such grant for the caller. */
export const E_GRANT = 0xffffff0a;
/** The channel end is not open, or its peer is gone. */
export const E_CLOSED = 0xffffff0b;
/** A generation or a counter has reached its end. */
export const E_EXHAUSTED = 0xffffff0c;
/** The boot lock forbids it. */
export const E_LOCKED = 0xffffff0d;
/** No such call. */
export const E_UNKNOWN = 0xffffff0e;
