/** Refusals of enhanced authorisation. Part 3, section 23. */
import { u32be } from '../../crypto/bytes.ts';
import { nvAttributes, TPM_ALG, TPM_CAP, TPM_CC, TPM_EO, TPM_RH, TPM_ST, TPMA_NV } from '../../structures/index.ts';
import { type Bench, type Case, ECDSA, EMPTY, ecc, NO_HASHCHECK, SIGN, text } from './bench.test-support.ts';

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

interface Signed {
  nonceTPM?: Uint8Array;
  cpHashA?: Uint8Array;
  expiration?: number;
  /** Another expiration than was signed. */
  says?: number;
}
/** PolicySigned by a key, with what it signs. */
async function policySigned(
  bench: Bench,
  what: Signed,
  before: (session: number) => Promise<unknown> = async () => {},
) {
  const { nonceTPM = EMPTY, cpHashA = EMPTY, expiration = 0, says = expiration } = what;
  const { client } = bench;
  const authObject = await bench.primary(ecc(SIGN, { scheme: ECDSA }));
  const session = await bench.policy();
  await before(session.handle);
  const digest = bench.hash(nonceTPM, u32be(expiration >>> 0), cpHashA);
  const inScheme = { scheme: TPM_ALG.NULL } as const;
  const { signature: auth } = await client.Sign({ keyHandle: authObject, digest, inScheme, validation: NO_HASHCHECK });
  if (auth.sigAlg === TPM_ALG.NULL) throw new Error('not signed');
  return client.PolicySigned({
    authObject,
    policySession: session.handle,
    nonceTPM,
    cpHashA,
    policyRef: EMPTY,
    expiration: says,
    auth,
  });
}
const policySecret = (bench: Bench, what: Signed, before: (session: number) => Promise<unknown> = async () => {}) =>
  inPolicy(bench, async (policySession) => {
    await before(policySession);
    const { nonceTPM = EMPTY, cpHashA = EMPTY, expiration = 0 } = what;
    return bench.client.PolicySecret({
      authHandle: TPM_RH.OWNER,
      policySession,
      nonceTPM,
      cpHashA,
      policyRef: EMPTY,
      expiration,
    });
  });
const cpHash = (bench: Bench, cpHashA: Uint8Array) => (policySession: number) =>
  bench.client.PolicyCpHash({ policySession, cpHashA });

interface Ticketed {
  timeout?: Uint8Array;
  cpHashA?: Uint8Array;
  digest?: Uint8Array;
}
/** A ticket of PolicySecret that holds for `seconds`, used in another session. */
async function policyTicket(
  bench: Bench,
  change: Ticketed = {},
  before: (session: number) => Promise<unknown> = async () => {},
  seconds = 1000,
  wait = async () => {},
) {
  const { client } = bench;
  const { timeout, policyTicket: ticket } = await policySecret(bench, { expiration: -seconds });
  await wait();
  const { handle } = await bench.policy();
  await before(handle);
  return client.PolicyTicket({
    policySession: handle,
    timeout: change.timeout ?? timeout,
    cpHashA: change.cpHashA ?? EMPTY,
    policyRef: EMPTY,
    authName: u32be(TPM_RH.OWNER),
    ticket: { ...ticket, digest: change.digest ?? ticket.digest },
  });
}

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
    'PolicySigned',
    'CPHASH',
    '',
    'another than is asserted',
    (bench) => policySigned(bench, { cpHashA: DIGEST }, cpHash(bench, OTHER)),
  ],
  ['PolicySigned', 'NONCE', 'p1', 'a nonce of no session', (bench) => policySigned(bench, { nonceTPM: DIGEST })],
  [
    'PolicySigned',
    'SIGNATURE',
    'p5',
    'another expiration than was signed',
    (bench) => policySigned(bench, { expiration: 0, says: 5000 }),
  ],
  [
    'PolicySigned',
    'SIZE',
    'p2',
    'a cpHash that is no digest',
    (bench) => policySigned(bench, { cpHashA: text('short') }),
  ],
  [
    'PolicySigned',
    'SCHEME',
    'p5',
    'an RSA signature by an ECC key',
    async (bench) => {
      const authObject = await bench.primary(ecc(SIGN, { scheme: ECDSA }));
      return inPolicy(bench, (policySession) =>
        bench.client.PolicySigned({
          authObject,
          policySession,
          nonceTPM: EMPTY,
          cpHashA: EMPTY,
          policyRef: EMPTY,
          expiration: 0,
          auth: { sigAlg: TPM_ALG.RSASSA, signature: { hash: TPM_ALG.SHA256, sig: new Uint8Array(256) } },
        }),
      );
    },
  ],

  [
    'PolicySigned',
    'EXPIRED',
    'p4',
    'a time that is past',
    (bench) => {
      bench.advance(6000);
      return policySigned(bench, { expiration: 5 });
    },
  ],
  [
    'PolicySecret',
    'EXPIRED',
    'p4',
    'a time that is past',
    (bench) => {
      bench.advance(6000);
      return policySecret(bench, { expiration: 5 });
    },
  ],
  [
    'PolicyTicket',
    'EXPIRED',
    'p1',
    'its time is past',
    (bench) => policyTicket(bench, {}, undefined, 5, async () => bench.advance(6000)),
  ],
  [
    'PolicySecret',
    'CPHASH',
    '',
    'another than is asserted',
    (bench) => policySecret(bench, { cpHashA: DIGEST }, cpHash(bench, OTHER)),
  ],
  ['PolicySecret', 'NONCE', 'p1', 'a nonce of no session', (bench) => policySecret(bench, { nonceTPM: DIGEST })],
  [
    'PolicySecret',
    'SIZE',
    'p2',
    'a cpHash that is no digest',
    (bench) => policySecret(bench, { cpHashA: text('short') }),
  ],

  [
    'PolicyTicket',
    'CPHASH',
    '',
    'another than is asserted',
    (bench) => policyTicket(bench, { cpHashA: DIGEST }, cpHash(bench, OTHER)),
  ],
  [
    'PolicyTicket',
    'SIZE',
    'p1',
    'a timeout of seven octets',
    (bench) => policyTicket(bench, { timeout: new Uint8Array(7) }),
  ],
  [
    'PolicyTicket',
    'SIZE',
    'p2',
    'a cpHash that is no digest',
    (bench) => policyTicket(bench, { cpHashA: text('short') }),
  ],
  ['PolicyTicket', 'TICKET', 'p5', 'another digest', (bench) => policyTicket(bench, { digest: DIGEST })],
  [
    'PolicyTicket',
    'ATTRIBUTES',
    'h1',
    'in a trial session',
    async (bench) => {
      const { timeout, policyTicket: ticket } = await policySecret(bench, { expiration: -1000 });
      const { handle } = await bench.policy('trial');
      return bench.client.PolicyTicket({
        policySession: handle,
        timeout,
        cpHashA: EMPTY,
        policyRef: EMPTY,
        authName: u32be(TPM_RH.OWNER),
        ticket,
      });
    },
  ],

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
