/** Register layout of the command response buffer. PC Client Platform TPM Profile 1.05, section 6.5.3, table 24. */

/** Offsets within a locality's page. */
export const REG = {
  LOC_STATE: 0x00,
  LOC_CTRL: 0x08,
  LOC_STS: 0x0c,
  INTERFACE_ID: 0x30,
  INTERFACE_ID_HIGH: 0x34,
  CTRL_EXT: 0x38,
  CTRL_REQ: 0x40,
  CTRL_STS: 0x44,
  CTRL_CANCEL: 0x48,
  CTRL_START: 0x4c,
  INT_ENABLE: 0x50,
  INT_STS: 0x54,
  CMD_SIZE: 0x58,
  CMD_LADDR: 0x5c,
  CMD_HADDR: 0x60,
  RSP_SIZE: 0x64,
  RSP_LADDR: 0x68,
  RSP_HADDR: 0x6c,
  DATA_BUFFER: 0x80,
} as const;

/** The rest of locality 0's page; command and response share it. */
export const BUFFER_SIZE = 0x1000 - REG.DATA_BUFFER;

export const LOC_STATE = {
  /** 1 while no dynamic root of trust was established (the bit is inverted). */
  NOT_ESTABLISHED: 0x01,
  ASSIGNED: 0x02,
  /** The active locality stands in bits 2-4. */
  ACTIVE_SHIFT: 2,
  VALID: 0x80,
} as const;

export const LOC_CTRL = { REQUEST: 0x1, RELINQUISH: 0x2, SEIZE: 0x4, RESET_ESTABLISHMENT: 0x8 } as const;
export const LOC_STS = { GRANTED: 0x1, BEEN_SEIZED: 0x2 } as const;
export const CTRL_REQ = { COMMAND_READY: 0x1, GO_IDLE: 0x2 } as const;
export const CTRL_STS = { FATAL: 0x1, IDLE: 0x2 } as const;

/** CRB, version 1, five localities, Ready straight after Completion, 64-byte transfers, CRB selected and locked. */
export const INTERFACE_ID_VALUE = 1 | (1 << 4) | (1 << 8) | (1 << 9) | (3 << 11) | (1 << 14) | (1 << 17) | (1 << 19);
