/** Non-volatile storage. Part 2, section 13. */
import { TPMI_ALG_HASH } from './algorithms.ts';
import { TPM2B_DIGEST } from './base.ts';
import { attributes, type Infer, type Schema, sized, struct, tagged, u8, u16, u32, u64, where } from './codec.ts';
import { TPM_HT, TPM_NT, TPM_RC } from './constants.ts';

/** TPMA_NV: single bits; the kind (TPM_NT) lies in bits 4-7, see `nvKind`. Part 2, section 13.4. */
export const TPMA_NV = attributes(u32, {
  PPWRITE: 0x0000_0001,
  OWNERWRITE: 0x0000_0002,
  AUTHWRITE: 0x0000_0004,
  POLICYWRITE: 0x0000_0008,
  TPM_NT: 0x0000_00f0,
  POLICY_DELETE: 0x0000_0400,
  WRITELOCKED: 0x0000_0800,
  WRITEALL: 0x0000_1000,
  WRITEDEFINE: 0x0000_2000,
  WRITE_STCLEAR: 0x0000_4000,
  GLOBALLOCK: 0x0000_8000,
  PPREAD: 0x0001_0000,
  OWNERREAD: 0x0002_0000,
  AUTHREAD: 0x0004_0000,
  POLICYREAD: 0x0008_0000,
  NO_DA: 0x0200_0000,
  ORDERLY: 0x0400_0000,
  CLEAR_STCLEAR: 0x0800_0000,
  READLOCKED: 0x1000_0000,
  WRITTEN: 0x2000_0000,
  PLATFORMCREATE: 0x4000_0000,
  READ_STCLEAR: 0x8000_0000 | 0,
});

/** The kind of an index (TPM_NT) from its attributes. */
export const nvKind = (attributes: number): number => (attributes >>> 4) & 0xf;

/** Attributes with their kind. */
export const nvAttributes = (kind: keyof typeof TPM_NT, ...bits: number[]): number =>
  bits.reduce((all, bit) => all | bit, TPM_NT[kind] << 4) >>> 0;

/** An NV index handle. Part 2, section 9.12. */
export const TPMI_RH_NV_INDEX = where(u32, (handle) => handle >>> 24 === TPM_HT.NV_INDEX, TPM_RC.VALUE);

/** TPMS_NV_PUBLIC. Part 2, section 13.5. */
export const TPMS_NV_PUBLIC = struct({
  nvIndex: TPMI_RH_NV_INDEX,
  nameAlg: TPMI_ALG_HASH,
  attributes: TPMA_NV,
  authPolicy: TPM2B_DIGEST,
  dataSize: u16,
});
export type TPMS_NV_PUBLIC = Infer<typeof TPMS_NV_PUBLIC>;
export const TPM2B_NV_PUBLIC: Schema<TPMS_NV_PUBLIC> = sized(TPMS_NV_PUBLIC);

/** TPM2B_NV_PUBLIC_2: a public area by its handle's type, of which this TPM has one. Part 2, sections 13.8 to 13.11. */
export const TPM2B_NV_PUBLIC_2 = sized(
  tagged({ handleType: u8 }, 'handleType', { [TPM_HT.NV_INDEX]: { nvIndex: TPMS_NV_PUBLIC } }, TPM_RC.SELECTOR),
);

/** TPMS_NV_PIN_COUNTER_PARAMETERS. Part 2, section 13.3. */
export const TPMS_NV_PIN_COUNTER_PARAMETERS = struct({ pinCount: u32, pinLimit: u32 });
/** An NV counter's value. */
export const NV_COUNTER = u64;
