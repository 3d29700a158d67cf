/** Refusals of NV commands. Part 3, section 31. */
import { nvAttributes, TPM_ALG, TPM_CC, TPM_RH, TPMA_NV } from '../../structures/index.ts';
import { type Bench, type Case, DECRYPT, EMPTY, ecc, NULL, SIGN } from './bench.test-support.ts';

type Kind = Parameters<typeof nvAttributes>[0];

const INDEX = 0x01500010;
const own = { authHandle: INDEX, nvIndex: INDEX };
const byOwner = { authHandle: TPM_RH.OWNER, nvIndex: INDEX };
const byPlatform = { authHandle: TPM_RH.PLATFORM, nvIndex: INDEX };
type By = typeof own | typeof byOwner;
const FREE = [TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE, TPMA_NV.OWNERREAD, TPMA_NV.OWNERWRITE, TPMA_NV.NO_DA];
const data = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);
const LONG_AUTH = new Uint8Array(33).fill(7);

interface Definition {
  readonly kind?: Kind;
  readonly more?: readonly number[];
  readonly free?: readonly number[];
  readonly authHandle?: number;
  readonly dataSize?: number;
  readonly authPolicy?: Uint8Array;
  readonly auth?: Uint8Array;
  readonly nvIndex?: number;
}
const publicOf = ({
  kind = 'ORDINARY',
  more = [],
  free = FREE,
  dataSize = 8,
  authPolicy = EMPTY,
  nvIndex = INDEX,
}: Definition) => ({
  nvIndex,
  nameAlg: TPM_ALG.SHA256,
  attributes: nvAttributes(kind, ...free, ...more),
  authPolicy,
  dataSize,
});
/** Define an index of 8 octets that its own and the owner's authorisation read and write, and more. */
const define = ({ client }: Bench, what: Definition = {}) =>
  client.NV_DefineSpace({
    authHandle: what.authHandle ?? TPM_RH.OWNER,
    auth: what.auth ?? EMPTY,
    publicInfo: publicOf(what),
  });
const define2 = ({ client }: Bench, what: Definition = {}) =>
  client.NV_DefineSpace2({
    authHandle: what.authHandle ?? TPM_RH.OWNER,
    auth: what.auth ?? EMPTY,
    publicInfo: { handleType: 1, nvIndex: publicOf(what) },
  });
/** An index on which a command is then run. */
const on = async <T>(bench: Bench, what: Definition, run: () => Promise<T>): Promise<T> => {
  await define(bench, what);
  return run();
};
const write = ({ client }: Bench, offset = 0, by: By = own) => client.NV_Write({ ...by, data, offset });
const read = ({ client }: Bench, size: number, offset: number, by: By = own) => client.NV_Read({ ...by, size, offset });
const certify = ({ client }: Bench, size: number, offset = 0, by: By = own, signHandle: number = TPM_RH.NULL) =>
  client.NV_Certify({ signHandle, ...by, qualifyingData: EMPTY, inScheme: NULL, size, offset });

/** Each writing command on an index of its kind. */
type Writer = readonly [
  'NV_Write' | 'NV_Increment' | 'NV_Extend' | 'NV_SetBits',
  Kind,
  number,
  (bench: Bench, by: By) => Promise<unknown>,
];
const WRITERS: readonly Writer[] = [
  ['NV_Write', 'ORDINARY', 8, (bench, by) => write(bench, 0, by)],
  ['NV_Increment', 'COUNTER', 8, ({ client }, by) => client.NV_Increment(by)],
  ['NV_Extend', 'EXTEND', 32, ({ client }, by) => client.NV_Extend({ ...by, data })],
  ['NV_SetBits', 'BITS', 8, ({ client }, by) => client.NV_SetBits({ ...by, bits: 1n })],
];

/** Run a command that only a policy authorises on an index whose policy is that command. */
async function byPolicy<T>(
  bench: Bench,
  code: number,
  what: Definition,
  run: (options: ReturnType<Bench['by']>) => Promise<T>,
): Promise<T> {
  const trial = await bench.policy('trial');
  await bench.client.PolicyCommandCode({ policySession: trial.handle, code });
  const { policyDigest: authPolicy } = await bench.client.PolicyGetDigest({ policySession: trial.handle });
  await define(bench, { ...what, authPolicy });
  const session = await bench.policy();
  await bench.client.PolicyCommandCode({ policySession: session.handle, code });
  return run(bench.by(session));
}

const definitions: Case[] = (
  [
    ['NV_DefineSpace', define],
    ['NV_DefineSpace2', define2],
  ] as const
).flatMap(([name, make]): Case[] => [
  [name, 'ATTRIBUTES', 'p2', 'nobody may write', (bench) => make(bench, { free: [TPMA_NV.AUTHREAD] })],
  [
    name,
    'ATTRIBUTES',
    'p2',
    'a counter that start-up clears',
    (bench) => make(bench, { kind: 'COUNTER', more: [TPMA_NV.CLEAR_STCLEAR] }),
  ],
  [
    name,
    'ATTRIBUTES',
    'p2',
    'PIN fail that counts for dictionary attacks',
    (bench) => make(bench, { kind: 'PIN_FAIL', free: [TPMA_NV.AUTHREAD, TPMA_NV.OWNERWRITE] }),
  ],
  [
    name,
    'ATTRIBUTES',
    'h1',
    'the platform’s, by the owner',
    (bench) => make(bench, { more: [TPMA_NV.PLATFORMCREATE] }),
  ],
  [
    name,
    'HIERARCHY',
    'h1',
    'phEnableNV is clear',
    async (bench) => {
      await bench.client.HierarchyControl({ authHandle: TPM_RH.PLATFORM, enable: TPM_RH.PLATFORM_NV, state: false });
      return make(bench, { more: [TPMA_NV.PLATFORMCREATE], authHandle: TPM_RH.PLATFORM });
    },
  ],
  [name, 'NV_DEFINED', '', 'it is there', (bench) => on(bench, {}, () => make(bench))],
  [
    name,
    'NV_SPACE',
    '',
    'all space is taken',
    async (bench) => {
      for (let i = 0; i < 200; i++) await make(bench, { nvIndex: INDEX + i, dataSize: 2048 });
    },
  ],
  [name, 'SIZE', 'p2', 'a counter has 8 octets', (bench) => make(bench, { kind: 'COUNTER', dataSize: 9 })],
  [name, 'SIZE', 'p2', 'more than an index holds', (bench) => make(bench, { dataSize: 2049 })],
  [name, 'SIZE', 'p2', 'a policy of no digest', (bench) => make(bench, { authPolicy: data })],
  [
    name,
    'SIZE',
    'p1',
    'an authorisation value longer than the name algorithm’s digest',
    (bench) => make(bench, { auth: LONG_AUTH }),
  ],
]);

const locked = (bench: Bench) =>
  on(bench, { more: [TPMA_NV.READ_STCLEAR] }, async () => {
    await write(bench);
    await bench.client.NV_ReadLock(own);
  });
const filled = (bench: Bench) => on(bench, {}, () => write(bench));

export const nvCases: readonly Case[] = [
  [
    'NV_DefineSpace',
    'SIZE',
    'p2',
    'a size that is wrong, like its attributes',
    (bench) => define(bench, { kind: 'BITS', dataSize: 9, more: [TPMA_NV.PLATFORMCREATE] }),
  ],
  ...definitions,
  [
    'NV_UndefineSpace',
    'ATTRIBUTES',
    'h2',
    'only its policy may',
    async (bench) => {
      const free = [TPMA_NV.PPREAD, TPMA_NV.PPWRITE, TPMA_NV.PLATFORMCREATE];
      await define(bench, { more: [TPMA_NV.POLICY_DELETE], free, authHandle: TPM_RH.PLATFORM });
      return bench.client.NV_UndefineSpace(byPlatform);
    },
  ],
  [
    'NV_UndefineSpace',
    'NV_AUTHORIZATION',
    '',
    'the platform made it',
    (bench) =>
      on(bench, { more: [TPMA_NV.PLATFORMCREATE], authHandle: TPM_RH.PLATFORM }, () =>
        bench.client.NV_UndefineSpace(byOwner),
      ),
  ],
  [
    'NV_UndefineSpaceSpecial',
    'ATTRIBUTES',
    'h1',
    'more than its policy may',
    (bench) =>
      byPolicy(bench, TPM_CC.NV_UndefineSpaceSpecial, {}, (options) =>
        bench.client.NV_UndefineSpaceSpecial({ nvIndex: INDEX, platform: TPM_RH.PLATFORM }, options),
      ),
  ],
  [
    'NV_ChangeAuth',
    'SIZE',
    'p1',
    'longer than the name algorithm’s digest',
    (bench) =>
      byPolicy(bench, TPM_CC.NV_ChangeAuth, {}, (options) =>
        bench.client.NV_ChangeAuth({ nvIndex: INDEX, newAuth: LONG_AUTH }, options),
      ),
  ],
  ...WRITERS.flatMap(([name, kind, dataSize, run]): Case[] => [
    [
      name,
      'ATTRIBUTES',
      name === 'NV_Write' ? '' : 'h2',
      'an index of another kind',
      (bench) => on(bench, { kind: kind === 'BITS' ? 'COUNTER' : 'BITS' }, () => run(bench, own)),
    ],
    [
      name,
      'NV_AUTHORIZATION',
      '',
      'the platform may not',
      (bench) => on(bench, { kind, dataSize }, () => run(bench, byPlatform)),
    ],
    [
      name,
      'NV_LOCKED',
      '',
      'it is locked',
      (bench) =>
        on(bench, { kind, dataSize, more: [TPMA_NV.WRITE_STCLEAR] }, async () => {
          await bench.client.NV_WriteLock(own);
          return run(bench, own);
        }),
    ],
  ]),
  ['NV_Write', 'NV_RANGE', '', 'past the end', (bench) => on(bench, {}, () => write(bench, 1))],
  [
    'NV_Write',
    'NV_RANGE',
    '',
    'less than all',
    (bench) => on(bench, { dataSize: 16, more: [TPMA_NV.WRITEALL] }, () => write(bench)),
  ],
  ['NV_Write', 'VALUE', 'p2', 'from past the end', (bench) => on(bench, {}, () => write(bench, 9))],
  [
    'NV_WriteLock',
    'ATTRIBUTES',
    'h2',
    'it has no lock',
    (bench) => on(bench, {}, () => bench.client.NV_WriteLock(own)),
  ],
  [
    'NV_WriteLock',
    'NV_AUTHORIZATION',
    '',
    'the platform may not',
    (bench) => on(bench, {}, () => bench.client.NV_WriteLock(byPlatform)),
  ],
  ['NV_ReadLock', 'ATTRIBUTES', 'h2', 'it has no lock', (bench) => on(bench, {}, () => bench.client.NV_ReadLock(own))],
  [
    'NV_ReadLock',
    'NV_AUTHORIZATION',
    '',
    'the platform may not',
    (bench) => on(bench, {}, () => bench.client.NV_ReadLock(byPlatform)),
  ],
  [
    'NV_Read',
    'NV_AUTHORIZATION',
    '',
    'the platform may not',
    (bench) => on(bench, {}, () => read(bench, 1, 0, byPlatform)),
  ],
  ['NV_Read', 'NV_UNINITIALIZED', '', 'never written', (bench) => on(bench, {}, () => read(bench, 1, 0))],
  ['NV_Read', 'NV_RANGE', '', 'past the end', (bench) => filled(bench).then(() => read(bench, 8, 1))],
  ['NV_Read', 'VALUE', 'p2', 'from past the end', (bench) => filled(bench).then(() => read(bench, 1, 9))],
  ['NV_Read', 'VALUE', 'p1', 'more than a buffer', (bench) => filled(bench).then(() => read(bench, 1025, 0))],
  ['NV_Read', 'NV_LOCKED', '', 'it is locked', (bench) => locked(bench).then(() => read(bench, 1, 0))],
  ['NV_Certify', 'NV_LOCKED', '', 'it is locked', (bench) => locked(bench).then(() => certify(bench, 1))],
  [
    'NV_Certify',
    'NV_AUTHORIZATION',
    '',
    'the platform may not',
    (bench) => on(bench, {}, () => certify(bench, 1, 0, byPlatform)),
  ],
  ['NV_Certify', 'NV_UNINITIALIZED', '', 'never written', (bench) => on(bench, {}, () => certify(bench, 1))],
  ['NV_Certify', 'NV_RANGE', '', 'past the end', (bench) => filled(bench).then(() => certify(bench, 1, 9))],
  [
    'NV_Certify',
    'KEY',
    'h1',
    'the key does not sign',
    async (bench) => {
      await filled(bench);
      return certify(bench, 1, 0, own, await bench.primary(ecc(DECRYPT)));
    },
  ],
  [
    'NV_Certify',
    'SCHEME',
    'p2',
    'neither key nor caller names one',
    async (bench) => {
      await filled(bench);
      return certify(bench, 1, 0, own, await bench.primary(ecc(SIGN)));
    },
  ],
];
