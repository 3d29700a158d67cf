/** Refusals of assertions. Part 3, sections 23.6 to 23.25. */
import { u32be } from '../../crypto/bytes.ts';
import { nvAttributes, TPM_ALG, TPM_CAP, TPM_CC, TPM_EO, TPM_RH, TPM_ST, TPMA_NV } from '../../structures/index.ts';
import { type Bench, type Case, EMPTY, text } from './bench.test-support.ts';
import { cpHash } from './policy-authorities.test-support.ts';

const INDEX = 0x01500010;
const own = { authHandle: INDEX, nvIndex: INDEX };
const DIGEST = new Uint8Array(32).fill(5);
const OTHER = new Uint8Array(32).fill(6);

const inPolicy = async <T>(bench: Bench, use: (policySession: number) => Promise<T>): Promise<T> =>
  use((await bench.policy()).handle);

/** Two assertions, of which the second contradicts the first. */
const twice = (bench: Bench, first: (policySession: number) => Promise<unknown>, second = first) =>
  inPolicy(bench, async (session) => {
    await first(session);
    return second(session);
  });

async function define(bench: Bench, more: readonly number[] = [], dataSize = 8, data?: Uint8Array) {
  const attributes = nvAttributes('ORDINARY', TPMA_NV.AUTHREAD, TPMA_NV.AUTHWRITE, TPMA_NV.NO_DA, ...more);
  const publicInfo = { nvIndex: INDEX, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize };
  await bench.client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: EMPTY, publicInfo });
  if (data !== undefined) await bench.client.NV_Write({ ...own, data, offset: 0 });
}
const policyNV = (bench: Bench, operandB: Uint8Array, offset = 0, operation: number = TPM_EO.EQ) =>
  inPolicy(bench, (policySession) =>
    bench.client.PolicyNV({ ...own, policySession, operandB, offset, operation: operation as typeof TPM_EO.EQ }),
  );

const pcrs = [{ hash: TPM_ALG.SHA256, pcrSelect: [16] }] as const;
const extend16 = (bench: Bench) =>
  bench.client.PCR_Extend({ pcrHandle: 16, digests: [{ hashAlg: TPM_ALG.SHA256, digest: DIGEST }] });
/** PCR 16 is the debug PCR, which does not count; this one does. */
const extend7 = (bench: Bench) =>
  bench.client.PCR_Extend({ pcrHandle: 7, digests: [{ hashAlg: TPM_ALG.SHA256, digest: DIGEST }] });

const authorize = (bench: Bench, keySign: Uint8Array, approvedPolicy = new Uint8Array(32)) =>
  inPolicy(bench, (policySession) =>
    bench.client.PolicyAuthorize({
      policySession,
      approvedPolicy,
      policyRef: EMPTY,
      keySign,
      checkTicket: { tag: TPM_ST.VERIFIED, hierarchy: TPM_RH.OWNER, digest: DIGEST },
    }),
  );
const NAME = Uint8Array.of(0, 0x0b, ...DIGEST);
const authorizeNV = (bench: Bench) =>
  inPolicy(bench, (policySession) => bench.client.PolicyAuthorizeNV({ ...own, policySession }));
const capability = (bench: Bench, operandB: Uint8Array, offset = 0) =>
  inPolicy(bench, (policySession) =>
    bench.client.PolicyCapability({
      policySession,
      operandB,
      offset,
      operation: TPM_EO.EQ,
      capability: TPM_CAP.TPM_PROPERTIES,
      property: 0x100,
    }),
  );

/** A hash that a session may assert once, and what of the others it then refuses. */
const HASHES = [
  ['PolicyCpHash', cpHash],
  [
    'PolicyNameHash',
    (bench: Bench, nameHash: Uint8Array) => (policySession: number) =>
      bench.client.PolicyNameHash({ policySession, nameHash }),
  ],
  [
    'PolicyTemplate',
    (bench: Bench, templateHash: Uint8Array) => (policySession: number) =>
      bench.client.PolicyTemplate({ policySession, templateHash }),
  ],
  [
    'PolicyParameters',
    (bench: Bench, pHash: Uint8Array) => (policySession: number) =>
      bench.client.PolicyParameters({ policySession, pHash }),
  ],
] as const;

export const policyCases: readonly Case[] = [
  [
    'PolicyCounterTimer',
    'RANGE',
    '',
    'more than there is, in a trial',
    async (bench) => {
      const { handle: policySession } = await bench.policy('trial');
      return bench.client.PolicyCounterTimer({ policySession, operandB: DIGEST, offset: 0, operation: TPM_EO.EQ });
    },
  ],
  ...HASHES.flatMap(([name, assert], i): Case[] => {
    const other = HASHES[(i + 1) % 3]?.[1] ?? cpHash;
    return [
      [name, 'CPHASH', '', 'after another hash', (bench) => twice(bench, other(bench, DIGEST), assert(bench, DIGEST))],
      [name, 'SIZE', 'p1', 'it is no digest', (bench) => inPolicy(bench, assert(bench, text('short')))],
    ];
  }),
  ['PolicyCpHash', 'CPHASH', '', 'two of them', (bench) => twice(bench, cpHash(bench, DIGEST), cpHash(bench, OTHER))],

  [
    'PolicyOR',
    'VALUE',
    'p1',
    'none is the policy so far',
    (bench) => inPolicy(bench, (policySession) => bench.client.PolicyOR({ policySession, pHashList: [DIGEST, OTHER] })),
  ],
  [
    'PolicyPCR',
    'VALUE',
    'p1',
    'another value',
    (bench) =>
      inPolicy(bench, (policySession) => bench.client.PolicyPCR({ policySession, pcrDigest: DIGEST, pcrs: [...pcrs] })),
  ],
  [
    'PolicyPCR',
    'PCR_CHANGED',
    '',
    'PCR were extended since',
    (bench) => {
      const assert = (policySession: number) =>
        bench.client.PolicyPCR({ policySession, pcrDigest: EMPTY, pcrs: [...pcrs] });
      return twice(
        bench,
        async (session) => {
          await assert(session);
          await extend16(bench);
          await extend7(bench);
        },
        assert,
      );
    },
  ],
  [
    'PolicyLocality',
    'RANGE',
    'p1',
    'no locality',
    (bench) => inPolicy(bench, (policySession) => bench.client.PolicyLocality({ policySession, locality: 0 })),
  ],
  [
    'PolicyLocality',
    'RANGE',
    'p1',
    'none that an earlier one has left',
    (bench) =>
      twice(
        bench,
        (policySession) => bench.client.PolicyLocality({ policySession, locality: 1 }),
        (policySession) => bench.client.PolicyLocality({ policySession, locality: 2 }),
      ),
  ],
  [
    'PolicyLocality',
    'RANGE',
    'p1',
    'an extended one after another',
    (bench) =>
      twice(
        bench,
        (policySession) => bench.client.PolicyLocality({ policySession, locality: 32 }),
        (policySession) => bench.client.PolicyLocality({ policySession, locality: 33 }),
      ),
  ],

  [
    'PolicyNV',
    'NV_LOCKED',
    '',
    'it is locked',
    async (bench) => {
      await define(bench, [TPMA_NV.READ_STCLEAR], 8, new Uint8Array(8));
      await bench.client.NV_ReadLock(own);
      return policyNV(bench, new Uint8Array(8));
    },
  ],
  [
    'PolicyNV',
    'NV_UNINITIALIZED',
    '',
    'never written',
    (bench) => define(bench).then(() => policyNV(bench, new Uint8Array(8))),
  ],
  [
    'PolicyNV',
    'NV_AUTHORIZATION',
    '',
    'the owner may not read it',
    async (bench) => {
      await define(bench, [], 8, new Uint8Array(8));
      return inPolicy(bench, (policySession) =>
        bench.client.PolicyNV({
          authHandle: TPM_RH.OWNER,
          nvIndex: INDEX,
          policySession,
          operandB: EMPTY,
          offset: 0,
          operation: TPM_EO.EQ,
        }),
      );
    },
  ],
  [
    'PolicyNV',
    'POLICY',
    '',
    'another content',
    (bench) => define(bench, [], 8, new Uint8Array(8)).then(() => policyNV(bench, new Uint8Array(8).fill(1))),
  ],
  [
    'PolicyNV',
    'SIZE',
    'p1',
    'more than there is behind the offset',
    (bench) => define(bench, [], 8, new Uint8Array(8)).then(() => policyNV(bench, new Uint8Array(8), 1)),
  ],
  [
    'PolicyNV',
    'VALUE',
    'p2',
    'an offset behind the end',
    (bench) => define(bench, [], 8, new Uint8Array(8)).then(() => policyNV(bench, new Uint8Array(1), 9)),
  ],

  [
    'PolicyCounterTimer',
    'POLICY',
    '',
    'another time',
    (bench) =>
      inPolicy(bench, (policySession) =>
        bench.client.PolicyCounterTimer({
          policySession,
          operandB: new Uint8Array(8).fill(255),
          offset: 0,
          operation: TPM_EO.EQ,
        }),
      ),
  ],
  [
    'PolicyCounterTimer',
    'RANGE',
    '',
    'more than there is behind the offset',
    (bench) =>
      inPolicy(bench, (policySession) =>
        bench.client.PolicyCounterTimer({
          policySession,
          operandB: new Uint8Array(8),
          offset: 20,
          operation: TPM_EO.EQ,
        }),
      ),
  ],
  [
    'PolicyCounterTimer',
    'VALUE',
    'p2',
    'an offset behind the end',
    (bench) =>
      inPolicy(bench, (policySession) =>
        bench.client.PolicyCounterTimer({
          policySession,
          operandB: new Uint8Array(8),
          offset: 26,
          operation: TPM_EO.EQ,
        }),
      ),
  ],
  [
    'PolicyCommandCode',
    'VALUE',
    'p1',
    'two of them',
    (bench) =>
      twice(
        bench,
        (policySession) => bench.client.PolicyCommandCode({ policySession, code: TPM_CC.Sign }),
        (policySession) => bench.client.PolicyCommandCode({ policySession, code: TPM_CC.Quote }),
      ),
  ],
  [
    'PolicyCommandCode',
    'POLICY_CC',
    'p1',
    'no command',
    (bench) => inPolicy(bench, (policySession) => bench.client.PolicyCommandCode({ policySession, code: 0x7777 })),
  ],
  [
    'PolicyDuplicationSelect',
    'COMMAND_CODE',
    '',
    'after a command code',
    (bench) =>
      twice(
        bench,
        (policySession) => bench.client.PolicyCommandCode({ policySession, code: TPM_CC.Sign }),
        (policySession) =>
          bench.client.PolicyDuplicationSelect({
            policySession,
            objectName: NAME,
            newParentName: NAME,
            includeObject: false,
          }),
      ),
  ],
  [
    'PolicyDuplicationSelect',
    'CPHASH',
    '',
    'after a cpHash',
    (bench) =>
      twice(bench, cpHash(bench, DIGEST), (policySession) =>
        bench.client.PolicyDuplicationSelect({
          policySession,
          objectName: NAME,
          newParentName: NAME,
          includeObject: false,
        }),
      ),
  ],

  [
    'PolicyAuthorize',
    'HASH',
    'p3',
    'a name of no algorithm',
    (bench) => authorize(bench, Uint8Array.of(0x7f, 0xff, ...DIGEST)),
  ],
  ['PolicyAuthorize', 'SIZE', 'p3', 'a name of another size', (bench) => authorize(bench, NAME.subarray(0, 20))],
  ['PolicyAuthorize', 'VALUE', 'p1', 'another policy is approved', (bench) => authorize(bench, NAME, DIGEST)],
  ['PolicyAuthorize', 'VALUE', 'p4', 'nobody signed it', (bench) => authorize(bench, NAME)],

  [
    'PolicyNvWritten',
    'VALUE',
    'p1',
    'the opposite',
    (bench) =>
      twice(
        bench,
        (policySession) => bench.client.PolicyNvWritten({ policySession, writtenSet: true }),
        (policySession) => bench.client.PolicyNvWritten({ policySession, writtenSet: false }),
      ),
  ],
  [
    'PolicyTemplate',
    'VALUE',
    'p1',
    'two of them',
    (bench) =>
      twice(
        bench,
        (policySession) => bench.client.PolicyTemplate({ policySession, templateHash: DIGEST }),
        (policySession) => bench.client.PolicyTemplate({ policySession, templateHash: OTHER }),
      ),
  ],

  [
    'PolicyAuthorizeNV',
    'HASH',
    '',
    'the index names another algorithm',
    (bench) =>
      define(bench, [], 50, Uint8Array.of(0, 0x0c, ...DIGEST, ...DIGEST.subarray(16))).then(() => authorizeNV(bench)),
  ],
  [
    'PolicyAuthorizeNV',
    'VALUE',
    '',
    'the index approves another policy',
    (bench) => define(bench, [], 34, NAME).then(() => authorizeNV(bench)),
  ],
  [
    'PolicyAuthorizeNV',
    'NV_UNINITIALIZED',
    '',
    'never written',
    (bench) => define(bench, [], 34).then(() => authorizeNV(bench)),
  ],
  [
    'PolicyAuthorizeNV',
    'INSUFFICIENT',
    '',
    'the index holds less than a digest',
    (bench) => define(bench, [], 10, NAME.subarray(0, 10)).then(() => authorizeNV(bench)),
  ],

  ['PolicyCapability', 'POLICY', '', 'another value', (bench) => capability(bench, u32be(0x55))],
  [
    'PolicyCapability',
    'SIZE',
    'p1',
    'more than there is behind the offset',
    (bench) => capability(bench, new Uint8Array(8), 1),
  ],
  ['PolicyCapability', 'VALUE', 'p2', 'an offset behind the end', (bench) => capability(bench, EMPTY, 9)],
];
