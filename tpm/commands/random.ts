/** Random numbers. Part 3, section 16. */

import { buffer } from '../structures/codec.ts';
import { TPM_CC, TPM2B_DIGEST, u16 } from '../structures/index.ts';
import { command } from './command.ts';

/** The most octets one GetRandom gives: the largest digest. */
const MAX_RANDOM = 64;

/** TPM2_GetRandom: as many octets as asked for, up to a digest. Part 3, section 16.1. */
export const GetRandom = command(
  TPM_CC.GetRandom,
  { params: { bytesRequested: u16 }, response: { randomBytes: TPM2B_DIGEST } },
  (tpm, { bytesRequested }) => ({ randomBytes: tpm.random.bytes(Math.min(bytesRequested, MAX_RANDOM)) }),
);

/** TPM2_StirRandom: mix the caller's octets in. Part 3, section 16.2. */
export const StirRandom = command(
  TPM_CC.StirRandom,
  { params: { inData: buffer(128) }, nv: true },
  (tpm, { inData }) => {
    tpm.random.reseed(inData);
  },
);

export const randomCommands = [GetRandom, StirRandom];
