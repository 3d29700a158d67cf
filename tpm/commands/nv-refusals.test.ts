/** Every response code that Part 3, section 31, lists for the NV commands, each from the situation that it is for. */
import { beforeEach, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import {
  baseCode,
  nvAttributes,
  TPM_ALG,
  TPM_ECC,
  TPM_RC,
  TPM_RH,
  TPM_SU,
  TPMA_NV,
  TPMA_OBJECT,
} from '../structures/index.ts';
import { Tpm } from '../tpm.ts';

const EMPTY = new Uint8Array(0);
const OWNER = TPM_RH.OWNER;
const INDEX = 0x01500010;
const NULL_SCHEME = { scheme: TPM_ALG.NULL } as const;

/** What Part 3 lists, without codes of sessions and of storage that is full or gone. */
const LISTED = {
  NV_DefineSpace: ['ATTRIBUTES', 'HIERARCHY', 'NV_DEFINED', 'SIZE'],
  NV_UndefineSpace: ['ATTRIBUTES', 'NV_AUTHORIZATION'],
  NV_Write: ['ATTRIBUTES', 'NV_AUTHORIZATION', 'NV_LOCKED', 'NV_RANGE', 'VALUE'],
  NV_Increment: ['ATTRIBUTES', 'NV_AUTHORIZATION', 'NV_LOCKED'],
  NV_Extend: ['ATTRIBUTES', 'NV_AUTHORIZATION', 'NV_LOCKED'],
  NV_SetBits: ['ATTRIBUTES', 'NV_AUTHORIZATION', 'NV_LOCKED'],
  NV_WriteLock: ['ATTRIBUTES', 'NV_AUTHORIZATION'],
  NV_ReadLock: ['ATTRIBUTES', 'NV_AUTHORIZATION'],
  NV_Read: ['NV_AUTHORIZATION', 'NV_LOCKED', 'NV_RANGE', 'NV_UNINITIALIZED', 'VALUE'],
  NV_Certify: ['KEY', 'NV_AUTHORIZATION', 'NV_LOCKED', 'NV_RANGE', 'NV_UNINITIALIZED', 'SCHEME'],
} as const;
type Listed = keyof typeof LISTED;
type Kind = Parameters<typeof nvAttributes>[0];

let client: TpmClient;
beforeEach(async () => {
  const tpm = await Tpm.create();
  tpm.powerOn();
  client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
});

const own = { authHandle: INDEX, nvIndex: INDEX };
const byOwner = { authHandle: OWNER, nvIndex: INDEX };
const byPlatform = { authHandle: TPM_RH.PLATFORM, nvIndex: INDEX };
const FREE = [TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE, TPMA_NV.OWNERREAD, TPMA_NV.OWNERWRITE];

/** Define an index of 8 octets that its own and the owner's authorisation read and write, and more. */
function define(
  kind: Kind,
  more: readonly number[] = [],
  free: readonly number[] = FREE,
  authHandle: number = OWNER,
  dataSize = 8,
) {
  const attributes = nvAttributes(kind, ...free, ...more);
  const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize };
  return client.NV_DefineSpace({ authHandle, auth: EMPTY, publicInfo });
}

const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const write = (offset = 0) => client.NV_Write({ ...own, data, offset });
const read = (size: number, offset: number) => client.NV_Read({ ...own, size, offset });

async function signingKey(uses: number): Promise<number> {
  const { objectHandle } = await client.CreatePrimary({
    primaryHandle: OWNER,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: {
      type: TPM_ALG.ECC,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: uses | TPMA_OBJECT.sensitiveDataOrigin | TPMA_OBJECT.userWithAuth,
      authPolicy: EMPTY,
      parameters: {
        symmetric: { algorithm: TPM_ALG.NULL },
        scheme: NULL_SCHEME,
        curveID: TPM_ECC.NIST_P256,
        kdf: { scheme: TPM_ALG.NULL },
      },
      unique: { x: EMPTY, y: EMPTY },
    },
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  return objectHandle;
}
const certify = (
  size: number,
  offset = 0,
  of: { authHandle: number; nvIndex: number } = own,
  signHandle: number = TPM_RH.NULL,
) => client.NV_Certify({ signHandle, ...of, qualifyingData: EMPTY, inScheme: NULL_SCHEME, size, offset });

/** Each writing command on an index of its kind. */
const WRITERS: readonly [Listed, Kind, (by: { authHandle: number; nvIndex: number }) => Promise<unknown>, number][] = [
  ['NV_Write', 'ORDINARY', (by) => client.NV_Write({ ...by, data, offset: 0 }), 8],
  ['NV_Increment', 'COUNTER', (by) => client.NV_Increment(by), 8],
  ['NV_Extend', 'EXTEND', (by) => client.NV_Extend({ ...by, data }), 32],
  ['NV_SetBits', 'BITS', (by) => client.NV_SetBits({ ...by, bits: 1n }), 8],
];

const cases: readonly [Listed, string, string, () => Promise<unknown>][] = [
  ['NV_DefineSpace', 'ATTRIBUTES', 'nobody may write', () => define('ORDINARY', [], [TPMA_NV.AUTHREAD])],
  [
    'NV_DefineSpace',
    'HIERARCHY',
    'phEnableNV is clear',
    async () => {
      await client.HierarchyControl({ authHandle: TPM_RH.PLATFORM, enable: TPM_RH.PLATFORM_NV, state: false });
      return define('ORDINARY', [TPMA_NV.PLATFORMCREATE], FREE, TPM_RH.PLATFORM);
    },
  ],
  ['NV_DefineSpace', 'NV_DEFINED', 'it is there', () => define('ORDINARY').then(() => define('ORDINARY'))],
  ['NV_DefineSpace', 'SIZE', 'a counter has 8 octets', () => define('COUNTER', [], FREE, OWNER, 9)],
  [
    'NV_UndefineSpace',
    'ATTRIBUTES',
    'only its policy may',
    async () => {
      const free = [TPMA_NV.PPREAD, TPMA_NV.PPWRITE, TPMA_NV.PLATFORMCREATE];
      await define('ORDINARY', [TPMA_NV.POLICY_DELETE], free, TPM_RH.PLATFORM);
      return client.NV_UndefineSpace(byPlatform);
    },
  ],
  [
    'NV_UndefineSpace',
    'NV_AUTHORIZATION',
    'the platform made it',
    async () => {
      await define('ORDINARY', [TPMA_NV.PLATFORMCREATE], FREE, TPM_RH.PLATFORM);
      return client.NV_UndefineSpace(byOwner);
    },
  ],
  ...WRITERS.flatMap(([name, kind, run, size]): (typeof cases)[number][] => [
    [
      name,
      'ATTRIBUTES',
      'an index of another kind',
      () => define(kind === 'BITS' ? 'COUNTER' : 'BITS').then(() => run(own)),
    ],
    [
      name,
      'NV_AUTHORIZATION',
      'the platform may not',
      () => define(kind, [], FREE, OWNER, size).then(() => run(byPlatform)),
    ],
    [
      name,
      'NV_LOCKED',
      'it is locked',
      async () => {
        await define(kind, [TPMA_NV.WRITE_STCLEAR], FREE, OWNER, size);
        await client.NV_WriteLock(own);
        return run(own);
      },
    ],
  ]),
  ['NV_Write', 'NV_RANGE', 'past the end', () => define('ORDINARY').then(() => write(1))],
  ['NV_Write', 'VALUE', 'from past the end', () => define('ORDINARY').then(() => write(9))],
  ['NV_WriteLock', 'ATTRIBUTES', 'it has no lock', () => define('ORDINARY').then(() => client.NV_WriteLock(own))],
  [
    'NV_WriteLock',
    'NV_AUTHORIZATION',
    'the platform may not',
    () => define('ORDINARY').then(() => client.NV_WriteLock(byPlatform)),
  ],
  ['NV_ReadLock', 'ATTRIBUTES', 'it has no lock', () => define('ORDINARY').then(() => client.NV_ReadLock(own))],
  [
    'NV_ReadLock',
    'NV_AUTHORIZATION',
    'the platform may not',
    () => define('ORDINARY').then(() => client.NV_ReadLock(byPlatform)),
  ],
  [
    'NV_Read',
    'NV_AUTHORIZATION',
    'the platform may not',
    () => define('ORDINARY').then(() => client.NV_Read({ ...byPlatform, size: 1, offset: 0 })),
  ],
  ['NV_Read', 'NV_UNINITIALIZED', 'never written', () => define('ORDINARY').then(() => read(1, 0))],
  [
    'NV_Read',
    'NV_RANGE',
    'past the end',
    () =>
      define('ORDINARY')
        .then(() => write())
        .then(() => read(8, 1)),
  ],
  [
    'NV_Read',
    'VALUE',
    'from past the end',
    () =>
      define('ORDINARY')
        .then(() => write())
        .then(() => read(1, 9)),
  ],
  ...(['NV_Read', 'NV_Certify'] as const).map((name): (typeof cases)[number] => [
    name,
    'NV_LOCKED',
    'it is locked',
    async () => {
      await define('ORDINARY', [TPMA_NV.READ_STCLEAR]);
      await write();
      await client.NV_ReadLock(own);
      return name === 'NV_Read' ? read(1, 0) : certify(1);
    },
  ]),
  [
    'NV_Certify',
    'NV_AUTHORIZATION',
    'the platform may not',
    () => define('ORDINARY').then(() => certify(1, 0, byPlatform)),
  ],
  ['NV_Certify', 'NV_UNINITIALIZED', 'never written', () => define('ORDINARY').then(() => certify(1))],
  [
    'NV_Certify',
    'NV_RANGE',
    'past the end',
    () =>
      define('ORDINARY')
        .then(() => write())
        .then(() => certify(1, 9)),
  ],
  [
    'NV_Certify',
    'KEY',
    'the key does not sign',
    () => define('ORDINARY').then(async () => certify(1, 0, own, await signingKey(TPMA_OBJECT.decrypt))),
  ],
  [
    'NV_Certify',
    'SCHEME',
    'neither key nor caller names one',
    () => define('ORDINARY').then(async () => certify(1, 0, own, await signingKey(TPMA_OBJECT.sign))),
  ],
];

const listed = Object.entries(LISTED).flatMap(([name, codes]) => codes.map((code) => `${name} ${code}`));

describe(`refusals of NV commands: ${new Set(cases.map(([name, code]) => `${name} ${code}`)).size} of ${listed.length} listed`, () => {
  it.each(cases)('%s: TPM_RC_%s, %s', async (_name, code, _why, run) => {
    const answer = await run().then(
      () => TPM_RC.SUCCESS,
      (error: { code: number }) => error.code,
    );
    expect(baseCode(answer)).toBe(TPM_RC[code as keyof typeof TPM_RC]);
  });

  it('has a case for every code that is listed', () => {
    expect(listed.filter((each) => !cases.some(([name, code]) => each === `${name} ${code}`))).toEqual([]);
  });
});
