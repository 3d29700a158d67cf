/** Refusals of attestation commands. Part 3, section 18. */
import { TPM_ALG, TPM_RH, TPMA_OBJECT } from '../../structures/index.ts';
import { DER, der, derOid } from '../der.ts';
import { type Bench, type Case, DECRYPT, ECDSA, EMPTY, ecc, NULL, SIGN, text } from './bench.test-support.ts';

const DIGEST = new Uint8Array(32).fill(5);
const ECDAA = (count: number) => ({ scheme: TPM_ALG.ECDAA, details: { hashAlg: TPM_ALG.SHA256, count } }) as const;
type Scheme = Parameters<Bench['client']['Quote']>[0]['inScheme'];

/** A command that signs for `signHandle`, and where its numbers are. */
type Attester = readonly [
  name: 'Certify' | 'CertifyCreation' | 'Quote' | 'GetSessionAuditDigest' | 'GetCommandAuditDigest' | 'GetTime',
  key: Case[2],
  scheme: Case[2],
  (bench: Bench, signHandle: number, inScheme: Scheme) => Promise<unknown>,
];
const privacy = { privacyAdminHandle: TPM_RH.ENDORSEMENT } as const;
const qualifyingData = EMPTY;

const certifyCreation = async (bench: Bench, signHandle: number, inScheme: Scheme, forge = false) => {
  const made = await bench.createPrimary(ecc(SIGN, { scheme: ECDSA }));
  const creationTicket = forge ? { ...made.creationTicket, digest: DIGEST } : made.creationTicket;
  const { objectHandle, creationHash } = made;
  return bench.client.CertifyCreation({
    signHandle,
    objectHandle,
    qualifyingData,
    creationHash,
    inScheme,
    creationTicket,
  });
};
async function sessionAudit(bench: Bench, signHandle: number, inScheme: Scheme, audited = true) {
  const session = await bench.client.startSession({ audit: audited });
  if (audited) await bench.client.GetRandom({ bytesRequested: 1 }, { sessions: [session] });
  return bench.client.GetSessionAuditDigest({
    ...privacy,
    signHandle,
    sessionHandle: session.handle,
    qualifyingData,
    inScheme,
  });
}

const ATTESTERS: readonly Attester[] = [
  [
    'Certify',
    'h2',
    'p2',
    async (bench, signHandle, inScheme) =>
      bench.client.Certify({ objectHandle: await bench.primary(ecc(SIGN)), signHandle, qualifyingData, inScheme }),
  ],
  ['CertifyCreation', 'h1', 'p3', certifyCreation],
  [
    'Quote',
    'h1',
    'p2',
    (bench, signHandle, inScheme) => bench.client.Quote({ signHandle, qualifyingData, inScheme, PCRselect: [] }),
  ],
  ['GetSessionAuditDigest', 'h2', 'p2', sessionAudit],
  [
    'GetCommandAuditDigest',
    'h2',
    'p2',
    (bench, signHandle, inScheme) =>
      bench.client.GetCommandAuditDigest({ privacyHandle: TPM_RH.ENDORSEMENT, signHandle, qualifyingData, inScheme }),
  ],
  [
    'GetTime',
    'h2',
    'p2',
    (bench, signHandle, inScheme) => bench.client.GetTime({ ...privacy, signHandle, qualifyingData, inScheme }),
  ],
];

const name = der(DER.SEQUENCE, der(0x31, der(DER.SEQUENCE, derOid('2.5.4.3'), der(0x0c, text('a TPM')))));
const validity = der(DER.SEQUENCE, der(0x17, text('260101000000Z')), der(0x17, text('360101000000Z')));
const keyUsage = (...bits: number[]) =>
  der(
    DER.context(3),
    der(
      DER.SEQUENCE,
      der(DER.SEQUENCE, derOid('2.5.29.15'), der(DER.OCTET_STRING, der(DER.BIT_STRING, Uint8Array.from(bits)))),
    ),
  );
const certificate = (...usage: number[]) => der(DER.SEQUENCE, name, validity, name, keyUsage(...usage));
const SIGNATURES = [7, 0x80];
const ENCIPHERMENT = [5, 0x20];

const x509Key = ecc(SIGN | TPMA_OBJECT.x509sign, { scheme: ECDSA });
async function certifyX509(
  bench: Bench,
  what: { partialCertificate?: Uint8Array; inScheme?: Scheme; signer?: number } = {},
) {
  const objectHandle = await bench.primary(ecc(SIGN, { scheme: ECDSA }));
  return bench.client.CertifyX509({
    objectHandle,
    signHandle: what.signer ?? (await bench.primary(x509Key)),
    reserved: EMPTY,
    inScheme: what.inScheme ?? NULL,
    partialCertificate: what.partialCertificate ?? certificate(...SIGNATURES),
  });
}

export const attestationCases: readonly Case[] = [
  [
    'Quote',
    'SCHEME',
    'p2',
    'no key, and so no hash',
    ({ client }) => client.Quote({ signHandle: TPM_RH.NULL, qualifyingData, inScheme: ECDSA, PCRselect: [] }),
  ],
  [
    'CertifyX509',
    'HASH',
    'p2',
    'a scheme without a hash',
    (bench) =>
      certifyX509(bench, { inScheme: { ...ECDSA, details: { hashAlg: TPM_ALG.NULL as typeof TPM_ALG.SHA256 } } }),
  ],
  ...ATTESTERS.flatMap(([command, key, scheme, attest]): Case[] => [
    [
      command,
      'KEY',
      key,
      'the key does not sign',
      async (bench) => attest(bench, await bench.primary(ecc(DECRYPT)), NULL),
    ],
    [
      command,
      'SCHEME',
      scheme,
      'neither key nor caller names one',
      async (bench) => attest(bench, await bench.primary(ecc(SIGN)), NULL),
    ],
    [
      command,
      'SCHEME',
      scheme,
      'another than the key’s',
      async (bench) =>
        attest(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), {
          ...ECDSA,
          details: { hashAlg: TPM_ALG.SHA384 },
        }),
    ],
    [
      command,
      'VALUE',
      '',
      'a counter of no commit',
      async (bench) => attest(bench, await bench.primary(ecc(SIGN, { scheme: ECDAA(1) })), ECDAA(77)),
    ],
  ]),
  [
    'CertifyCreation',
    'TICKET',
    'p4',
    'a forged ticket',
    async (bench) => certifyCreation(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), NULL, true),
  ],
  [
    'GetSessionAuditDigest',
    'TYPE',
    'h3',
    'a session that does not audit',
    async (bench) => sessionAudit(bench, await bench.primary(ecc(SIGN, { scheme: ECDSA })), NULL, false),
  ],
  [
    'CertifyX509',
    'ATTRIBUTES',
    'p3',
    'a use that the key has not',
    (bench) => certifyX509(bench, { partialCertificate: certificate(...ENCIPHERMENT) }),
  ],
  [
    'CertifyX509',
    'KEY',
    'h2',
    'the key does not sign',
    async (bench) => certifyX509(bench, { signer: await bench.primary(ecc(DECRYPT)) }),
  ],
  [
    'CertifyX509',
    'SCHEME',
    'p2',
    'another than the key’s',
    (bench) => certifyX509(bench, { inScheme: { ...ECDSA, details: { hashAlg: TPM_ALG.SHA384 } } }),
  ],
  [
    'CertifyX509',
    'VALUE',
    'p3',
    'no certificate',
    (bench) => certifyX509(bench, { partialCertificate: text('no DER') }),
  ],
];
