/** Register layout of the FIFO interface. PC Client Platform TPM Profile 1.05, section 6.5.2, table 19. */

/** Offsets within a locality's page. */
export const REG = {
  ACCESS: 0x000,
  INT_ENABLE: 0x008,
  INT_VECTOR: 0x00c,
  INT_STATUS: 0x010,
  INTF_CAPABILITY: 0x014,
  STS: 0x018,
  DATA_FIFO: 0x024,
  INTERFACE_ID: 0x030,
  XDATA_FIFO: 0x080,
  DID_VID: 0xf00,
  RID: 0xf04,
} as const;

/** XDATA_FIFO takes transfers of up to 64 bytes. */
export const XDATA_FIFO_END = 0x0c0;

export const ACCESS = {
  /** 1 while no dynamic root of trust was established (the bit is inverted). */
  NOT_ESTABLISHED: 0x01,
  REQUEST_USE: 0x02,
  PENDING_REQUEST: 0x04,
  SEIZE: 0x08,
  BEEN_SEIZED: 0x10,
  ACTIVE_LOCALITY: 0x20,
  VALID: 0x80,
} as const;

/** Bits of STS; byte 0 unless said otherwise. Bits 8-23 are the burst count. */
export const STS = {
  RESPONSE_RETRY: 0x02,
  SELF_TEST_DONE: 0x04,
  EXPECT: 0x08,
  DATA_AVAIL: 0x10,
  GO: 0x20,
  COMMAND_READY: 0x40,
  VALID: 0x80,
} as const;

/** Bits of STS, byte 3. */
export const STS3 = {
  COMMAND_CANCEL: 0x01,
  RESET_ESTABLISHMENT: 0x02,
  FAMILY_TPM2: 0x04,
} as const;

/** Interface version 1.3 of TPM 2.0, 64-byte transfers, dynamic burst count, no interrupts: software polls. */
export const INTF_CAPABILITY_VALUE = (3 << 28) | (3 << 9);

/** FIFO as in TPM 2.0, five localities, FIFO is supported and CRB is not, selection locked. */
export const INTERFACE_ID_VALUE = (1 << 19) | (1 << 13) | (1 << 8);

/** Largest command and response; TPM_PT_MAX_COMMAND_SIZE of common TPMs. */
export const FIFO_SIZE = 4096;
