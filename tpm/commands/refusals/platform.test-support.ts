/** Refusals of PCR and hierarchy commands. Part 3, sections 22 and 24. */
import { TPM_ALG, TPM_RH } from '../../structures/index.ts';
import { type Case, EMPTY, text } from './bench.test-support.ts';

const DIGEST = new Uint8Array(32).fill(5);
/** Only locality 3 and above extend it, only locality 4 resets it. */
const DYNAMIC = 18;
const PLATFORM = { authHandle: TPM_RH.PLATFORM } as const;
const EVERY_BANK = [TPM_ALG.SHA1, TPM_ALG.SHA256, TPM_ALG.SHA384, TPM_ALG.SHA512] as const;

export const platformCases: readonly Case[] = [
  [
    'PCR_SetAuthPolicy',
    'VALUE',
    'p3',
    'no PCR',
    ({ client }) =>
      client.PCR_SetAuthPolicy({ ...PLATFORM, authPolicy: text('short'), hashAlg: TPM_ALG.SHA256, pcrNum: 24 }),
  ],
  [
    'TestParms',
    'SYMMETRIC',
    'p1',
    'a cipher key without cipher',
    ({ client }) =>
      client.TestParms({ parameters: { type: TPM_ALG.SYMCIPHER, parameters: { sym: { algorithm: TPM_ALG.NULL } } } }),
  ],
  [
    'PCR_Extend',
    'LOCALITY',
    '',
    'a PCR of another locality',
    ({ client }) => client.PCR_Extend({ pcrHandle: DYNAMIC, digests: [{ hashAlg: TPM_ALG.SHA256, digest: DIGEST }] }),
  ],
  [
    'PCR_Event',
    'LOCALITY',
    '',
    'a PCR of another locality',
    ({ client }) => client.PCR_Event({ pcrHandle: DYNAMIC, eventData: EMPTY }),
  ],
  ['PCR_Reset', 'LOCALITY', '', 'a PCR that only a restart resets', ({ client }) => client.PCR_Reset({ pcrHandle: 0 })],
  [
    'PCR_Allocate',
    'PCR',
    '',
    'no bank for the start of a dynamic root of trust',
    ({ client }) =>
      client.PCR_Allocate({ ...PLATFORM, pcrAllocation: EVERY_BANK.map((hash) => ({ hash, pcrSelect: [] })) }),
  ],
  [
    'PCR_SetAuthPolicy',
    'SIZE',
    'p1',
    'a policy of no digest',
    ({ client }) =>
      client.PCR_SetAuthPolicy({ ...PLATFORM, authPolicy: text('short'), hashAlg: TPM_ALG.SHA256, pcrNum: 20 }),
  ],
  [
    'PCR_SetAuthPolicy',
    'VALUE',
    'p3',
    'a PCR of no group',
    ({ client }) => client.PCR_SetAuthPolicy({ ...PLATFORM, authPolicy: DIGEST, hashAlg: TPM_ALG.SHA256, pcrNum: 0 }),
  ],
  [
    'PCR_SetAuthValue',
    'VALUE',
    'h1',
    'a PCR of no group',
    ({ client }) => client.PCR_SetAuthValue({ pcrHandle: 0, auth: EMPTY }),
  ],

  [
    'HierarchyControl',
    'AUTH_TYPE',
    '',
    'a hierarchy switches another off',
    ({ client }) => client.HierarchyControl({ authHandle: TPM_RH.OWNER, enable: TPM_RH.ENDORSEMENT, state: false }),
  ],
  [
    'SetPrimaryPolicy',
    'SIZE',
    'p1',
    'a policy of no digest',
    ({ client }) =>
      client.SetPrimaryPolicy({ authHandle: TPM_RH.OWNER, authPolicy: text('short'), hashAlg: TPM_ALG.SHA256 }),
  ],
  [
    'SetPrimaryPolicy',
    'SIZE',
    'p1',
    'a policy, and no algorithm',
    ({ client }) => client.SetPrimaryPolicy({ authHandle: TPM_RH.OWNER, authPolicy: DIGEST, hashAlg: TPM_ALG.NULL }),
  ],
  [
    'Clear',
    'DISABLED',
    '',
    'it was disabled',
    async ({ client }) => {
      await client.ClearControl({ auth: TPM_RH.LOCKOUT, disable: true });
      return client.Clear({ authHandle: TPM_RH.LOCKOUT });
    },
  ],
  [
    'ClearControl',
    'AUTH_FAIL',
    '',
    'the lockout authority enables',
    ({ client }) => client.ClearControl({ auth: TPM_RH.LOCKOUT, disable: false }),
  ],
  [
    'HierarchyChangeAuth',
    'SIZE',
    'p1',
    'longer than any digest',
    (bench) =>
      bench.raw(
        'HierarchyChangeAuth',
        { authHandle: TPM_RH.OWNER },
        { newAuth: Uint8Array.of(0, 65, ...new Uint8Array(65).fill(1)) },
      ),
  ],
];
