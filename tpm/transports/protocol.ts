/**
 * The two wire protocols that TPM clients speak, as numbers.
 * Control channel: swtpm's `tpm_ioctl.h` (package swtpm-dev), non-CUSE part. Simulator: TPM 2.0 reference
 * implementation, `Simulator/include/TpmTcpProtocol.h`. All integers are big-endian.
 */

/** Commands of swtpm's control channel. */
export const CMD = {
  GET_CAPABILITY: 1,
  INIT: 2,
  SHUTDOWN: 3,
  GET_TPMESTABLISHED: 4,
  SET_LOCALITY: 5,
  HASH_START: 6,
  HASH_DATA: 7,
  HASH_END: 8,
  CANCEL_TPM_CMD: 9,
  STORE_VOLATILE: 10,
  RESET_TPMESTABLISHED: 11,
  GET_STATEBLOB: 12,
  SET_STATEBLOB: 13,
  STOP: 14,
  GET_CONFIG: 15,
  SET_DATAFD: 16,
  SET_BUFFERSIZE: 17,
  GET_INFO: 18,
  LOCK_STORAGE: 19,
} as const;

/** Results on the control channel: TPM 1.2 codes, as swtpm uses them. */
export const PTM_RES = {
  SUCCESS: 0,
  BAD_PARAMETER: 3,
  FAIL: 9,
  BAD_ORDINAL: 10,
  SIZE: 17,
  IOERROR: 31,
  BAD_LOCALITY: 61,
} as const;

/** Capability bits (PTM_CAP_*): every command above, and the simulator's header on the data channel. */
export const PTM_CAPS = 0x1ffff;

export const PTM_INIT_FLAG_DELETE_VOLATILE = 1;

export const PTM_BLOB_TYPE = { PERMANENT: 1, VOLATILE: 2, SAVESTATE: 3 } as const;

/** Most bytes of one state blob, as swtpm limits it. */
export const MAX_STATE_BLOB = 512 * 1024;

/** Signals of the simulator. Those on the command port are marked; the rest belong to the platform port. */
export const SIGNAL = {
  POWER_ON: 1,
  POWER_OFF: 2,
  PHYS_PRES_ON: 3,
  PHYS_PRES_OFF: 4,
  /** command port */
  HASH_START: 5,
  /** command port */
  HASH_DATA: 6,
  /** command port */
  HASH_END: 7,
  /** command port */
  SEND_COMMAND: 8,
  CANCEL_ON: 9,
  CANCEL_OFF: 10,
  NV_ON: 11,
  NV_OFF: 12,
  KEY_CACHE_ON: 13,
  KEY_CACHE_OFF: 14,
  /** command port */
  REMOTE_HANDSHAKE: 15,
  /** command port */
  SET_ALTERNATIVE_RESULT: 16,
  RESET: 17,
  RESTART: 18,
  /** both ports */
  SESSION_END: 20,
  /** both ports */
  STOP: 21,
  GET_COMMAND_RESPONSE_SIZES: 25,
  ACT_GET_SIGNALED: 26,
  TEST_FAILURE_MODE: 30,
} as const;

/** Endpoint flags of the handshake: platform signals available, raw mode, physical presence. */
export const HANDSHAKE_FLAGS = 0x01 | 0x04 | 0x08;
export const SIMULATOR_VERSION = 1;

/** Bytes of a TPM command or response header: tag, size, code. */
export const TPM_HEADER = 10;

/** Most bytes of one TPM command on a stream; larger ones are answered TPM_RC_COMMAND_SIZE. The TPM's own limit is lower. */
export const MAX_COMMAND = 8192;

/** TPM_ST_NO_SESSIONS, size 10, and a response code: what a transport answers when the TPM cannot. */
export function bareResponse(rc: number): Uint8Array {
  return Uint8Array.of(0x80, 0x01, 0, 0, 0, TPM_HEADER, rc >>> 24, (rc >>> 16) & 0xff, (rc >>> 8) & 0xff, rc & 0xff);
}

/** Part 2, section 6.6.3. */
export const TPM_RC = { VALUE: 0x084, FAILURE: 0x101, COMMAND_SIZE: 0x142 } as const;
