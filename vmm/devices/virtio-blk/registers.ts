/**
 * Layout of a virtio block device over MMIO: Virtual I/O Device (VIRTIO) 1.2, sections 4.2.2 (registers), 2.7 (split
 * virtqueues) and 5.2 (block device). Everything is little-endian.
 */

/** Behind the TPM's 128 KiB, where nothing of a PC stands. */
export const VIRTIO_BASE = 0xfed60000;
export const VIRTIO_SIZE = 0x200;
/** An ISA line that no device of our machines uses. */
export const VIRTIO_IRQ = 5;

export const REG = {
  MAGIC: 0x000,
  VERSION: 0x004,
  DEVICE_ID: 0x008,
  VENDOR_ID: 0x00c,
  DEVICE_FEATURES: 0x010,
  DEVICE_FEATURES_SEL: 0x014,
  DRIVER_FEATURES: 0x020,
  DRIVER_FEATURES_SEL: 0x024,
  QUEUE_SEL: 0x030,
  QUEUE_NUM_MAX: 0x034,
  QUEUE_NUM: 0x038,
  QUEUE_READY: 0x044,
  QUEUE_NOTIFY: 0x050,
  INTERRUPT_STATUS: 0x060,
  INTERRUPT_ACK: 0x064,
  STATUS: 0x070,
  QUEUE_DESC: 0x080,
  QUEUE_DRIVER: 0x090,
  QUEUE_DEVICE: 0x0a0,
  CONFIG_GENERATION: 0x0fc,
  CONFIG: 0x100,
} as const;

/** "virt". */
export const MAGIC = 0x74726976;
export const VERSION = 2;
export const DEVICE_BLOCK = 2;
/** As the TPM's register models: not the PCI-SIG's. */
export const VENDOR = 0x4e58;

/** Bits of STATUS (section 2.1). */
export const STATUS = { DRIVER_OK: 4, FEATURES_OK: 8, NEEDS_RESET: 64 } as const;
/** Bits of INTERRUPT_STATUS. */
export const INTERRUPT = { USED: 1, CONFIG: 2 } as const;

/** Feature bits (sections 5.2.3 and 6). */
export const FEATURE = { SEG_MAX: 2, BLK_SIZE: 6, FLUSH: 9, VERSION_1: 32 } as const;

/** Entries of the queue at the most. */
export const QUEUE_MAX = 64;
/** Data segments of a request: what the queue holds without header and status. */
export const SEG_MAX = QUEUE_MAX - 2;

/** Descriptor flags (section 2.7.5). */
export const DESC = { NEXT: 1, WRITE: 2, INDIRECT: 4, SIZE: 16 } as const;
/** Flag of the driver area: no interrupt is wanted. */
export const NO_INTERRUPT = 1;

/** Request types and outcomes (section 5.2.6). */
export const REQUEST = { IN: 0, OUT: 1, FLUSH: 4, GET_ID: 8 } as const;
export const OUTCOME = { OK: 0, IOERR: 1, UNSUPP: 2 } as const;
export const REQUEST_HEADER = 16;
export const SECTOR = 512;
/** Bytes of GET_ID's answer. */
export const ID_SIZE = 20;
