/** Refusals of authorisation by somebody’s word. Part 3, sections 23.3 to 23.5. */
import { u32be } from '../../crypto/bytes.ts';
import { TPM_ALG, TPM_RH } from '../../structures/index.ts';
import { type Bench, type Case, ECDSA, EMPTY, ecc, NO_HASHCHECK, SIGN, text } from './bench.test-support.ts';

const DIGEST = new Uint8Array(32).fill(5);
const OTHER = new Uint8Array(32).fill(6);

const inPolicy = async <T>(bench: Bench, use: (policySession: number) => Promise<T>): Promise<T> =>
  use((await bench.policy()).handle);

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
/** Assert a cpHash. */
export const cpHash = (bench: Bench, cpHashA: Uint8Array) => (policySession: number) =>
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

export const policyAuthorityCases: readonly Case[] = [
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
];
