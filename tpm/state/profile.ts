/** Profiles: which algorithms a TPM has and how many slots. */
import { MAX_COMMAND_SIZE, TPM_ALG } from '../structures/constants.ts';

export interface Profile {
  readonly name: string;
  /** Algorithms and RSA sizes that are off. */
  readonly disabledAlgorithms: ReadonlySet<number>;
  /** Algorithms that work, yet that TPM2_GetCapability does not list. */
  readonly unreportedAlgorithms: readonly number[];
  readonly rsaKeyBits: readonly number[];
  /** RSA sizes of keys made elsewhere, which are loaded and used; none is made here. */
  readonly legacyRsaKeyBits: readonly number[];
  readonly eccCurves: readonly number[];
  /** PCR banks allocated at manufacture. */
  readonly pcrBanks: readonly number[];
  readonly transientSlots: number;
  readonly loadedSessions: number;
  readonly activeSessions: number;
  readonly persistentObjects: number;
  readonly nvIndices: number;
  /** The largest data area of one NV index, octets. */
  readonly nvIndexSize: number;
  readonly maxCommandSize: number;
}

const pcClient: Profile = {
  name: 'pc-client',
  disabledAlgorithms: new Set(),
  // tpm2-tss before 4.2 knows their numbers and cannot handle them: its FAPI rejects a TPM that lists them.
  unreportedAlgorithms: [TPM_ALG.SHA3_256, TPM_ALG.SHA3_384, TPM_ALG.SHA3_512],
  rsaKeyBits: [2048, 3072, 4096],
  legacyRsaKeyBits: [1024],
  eccCurves: [3, 4, 5, 0x10],
  pcrBanks: [TPM_ALG.SHA1, TPM_ALG.SHA256, TPM_ALG.SHA384, TPM_ALG.SHA512],
  transientSlots: 3,
  loadedSessions: 3,
  activeSessions: 64,
  persistentObjects: 64,
  nvIndices: 128,
  nvIndexSize: 2048,
  maxCommandSize: MAX_COMMAND_SIZE,
};

/** The built-in profiles. `pc-client` follows the PC Client profile; `fips` drops SHA-1; `minimal` is the least. */
export const PROFILES = {
  'pc-client': pcClient,
  fips: {
    ...pcClient,
    name: 'fips',
    legacyRsaKeyBits: [],
    disabledAlgorithms: new Set<number>([TPM_ALG.SHA1]),
    pcrBanks: [TPM_ALG.SHA256, TPM_ALG.SHA384],
  },
  minimal: {
    ...pcClient,
    name: 'minimal',
    disabledAlgorithms: new Set<number>([
      TPM_ALG.SHA1,
      TPM_ALG.SHA512,
      TPM_ALG.SHA3_256,
      TPM_ALG.SHA3_384,
      TPM_ALG.SHA3_512,
    ]),
    rsaKeyBits: [2048],
    legacyRsaKeyBits: [],
    eccCurves: [3],
    pcrBanks: [TPM_ALG.SHA256],
  },
} as const satisfies Record<string, Profile>;
