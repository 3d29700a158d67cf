/**
 * Commands that need what others answered: a ticket, a blob, a policy that holds. Each story is a chain of right commands
 * that a typed client sends; the fuzzer spoils some of them on the way and checks every one like those it makes itself.
 */
import { generateKeyPairSync } from 'node:crypto';
import type { TpmClient } from '../../tpm/client/index.ts';
import {
  objectName,
  TPM_ALG,
  TPM_CAP,
  TPM_CC,
  TPM_ECC,
  TPM_HT,
  TPM_RH,
  TPM_ST,
  TPM_SU,
  TPMA_NV,
  TPMA_OBJECT,
  type TPMT_PUBLIC,
} from '../../tpm/structures/index.ts';
import type { Random } from '../support/random.ts';

const EMPTY = new Uint8Array(0);
const NONE = { scheme: TPM_ALG.NULL } as const;
const USUAL = TPMA_OBJECT.userWithAuth | TPMA_OBJECT.noDA | TPMA_OBJECT.sensitiveDataOrigin;
const FIXED = TPMA_OBJECT.fixedTPM | TPMA_OBJECT.fixedParent;
const AES = { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB } as const;
const ECDSA = { scheme: TPM_ALG.ECDSA, details: { hashAlg: TPM_ALG.SHA256 } } as const;
const ECDAA = { scheme: TPM_ALG.ECDAA, details: { hashAlg: TPM_ALG.SHA256, count: 0 } } as const;
const NV_INDEX = 0x01500010;

/** What a story may do besides sending commands. */
export interface Stage {
  readonly client: TpmClient;
  readonly random: Random;
  /** Cut the power and bring it back: TPM2_Startup comes next. */
  restart(): void;
  setPhysicalPresence(on: boolean): void;
}
type Story = (stage: Stage) => Promise<void>;

type EccScheme = typeof NONE | typeof ECDSA | typeof ECDAA;
const ecc = (uses: number, scheme: EccScheme = NONE, authPolicy: Uint8Array = EMPTY): TPMT_PUBLIC => ({
  type: TPM_ALG.ECC,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: USUAL | uses,
  authPolicy,
  parameters: {
    symmetric: (uses & TPMA_OBJECT.restricted) !== 0 ? AES : { algorithm: TPM_ALG.NULL },
    scheme,
    curveID: TPM_ECC.NIST_P256,
    kdf: NONE,
  },
  unique: { x: EMPTY, y: EMPTY },
});
const PARENT = ecc(FIXED | TPMA_OBJECT.restricted | TPMA_OBJECT.decrypt);
const MAC: TPMT_PUBLIC = {
  type: TPM_ALG.KEYEDHASH,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: USUAL | FIXED | TPMA_OBJECT.sign,
  authPolicy: EMPTY,
  parameters: { scheme: { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA256 } } },
  unique: EMPTY,
};
const CIPHER: TPMT_PUBLIC = {
  type: TPM_ALG.SYMCIPHER,
  nameAlg: TPM_ALG.SHA256,
  objectAttributes: USUAL | FIXED | TPMA_OBJECT.sign | TPMA_OBJECT.decrypt,
  authPolicy: EMPTY,
  parameters: { sym: AES },
  unique: EMPTY,
};
const AGREEMENT = ecc(FIXED | TPMA_OBJECT.decrypt);
const SIGNING = ecc(FIXED | TPMA_OBJECT.sign);

type Hierarchy = typeof TPM_RH.NULL | typeof TPM_RH.OWNER;

/** A primary key: mostly of the null hierarchy, whose authorisation nobody changes. */
const primary = (client: TpmClient, inPublic: TPMT_PUBLIC, primaryHandle: Hierarchy = TPM_RH.NULL) =>
  client.CreatePrimary({
    primaryHandle,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic,
    outsideInfo: EMPTY,
    creationPCR: [],
  });

/** The digest of the policy that allows one command. */
async function policyFor(client: TpmClient, code: number): Promise<Uint8Array> {
  const trial = await client.startSession({ type: 'trial' });
  await client.PolicyCommandCode({ policySession: trial, code });
  const { policyDigest } = await client.PolicyGetDigest({ policySession: trial });
  await client.FlushContext({ flushHandle: trial.handle });
  return policyDigest;
}

async function sessionFor(client: TpmClient, code: number) {
  const session = await client.startSession({ type: 'policy' });
  await client.PolicyCommandCode({ policySession: session, code });
  return session;
}

const nvPublic = (attributes: number, authPolicy: Uint8Array = EMPTY) => ({
  nvIndex: NV_INDEX,
  nameAlg: TPM_ALG.SHA256,
  attributes: attributes | TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE | TPMA_NV.NO_DA,
  authPolicy,
  dataSize: 32,
});

const credential: Story = async ({ client, random }) => {
  const { objectHandle } = await primary(client, PARENT);
  const { name } = await client.ReadPublic({ objectHandle });
  const { credentialBlob, secret } = await client.MakeCredential({
    handle: objectHandle,
    credential: random.bytes(16),
    objectName: name,
  });
  await client.ActivateCredential({ activateHandle: objectHandle, keyHandle: objectHandle, credentialBlob, secret });
};

const agreement: Story = async ({ client, random }) => {
  const { objectHandle: keyHandle } = await primary(client, AGREEMENT);
  const { pubPoint } = await client.ECDH_KeyGen({ keyHandle });
  await client.ECDH_ZGen({ keyHandle, inPoint: pubPoint });
  const { Q, counter } = await client.EC_Ephemeral({ curveID: TPM_ECC.NIST_P256 });
  await client.ZGen_2Phase({ keyA: keyHandle, inQsB: pubPoint, inQeB: Q, inScheme: TPM_ALG.ECDH, counter });
  const inScheme = { scheme: TPM_ALG.KDF2, details: { hashAlg: TPM_ALG.SHA256 } } as const;
  const cipher = await client.ECC_Encrypt({ keyHandle, plainText: random.bytes(32), inScheme });
  await client.ECC_Decrypt({ keyHandle, ...cipher, inScheme });
};

/** Made beside the TPM, once: a TPM takes longer. */
let rsaKey: { readonly modulus: Uint8Array; readonly prime: Uint8Array } | undefined;
function knownRsaKey() {
  if (rsaKey) return rsaKey;
  const { n = '', p = '' } = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey.export({ format: 'jwk' });
  const bytes = (text: string) => new Uint8Array(Buffer.from(text, 'base64url'));
  rsaKey = { modulus: bytes(n), prime: bytes(p) };
  return rsaKey;
}

const encryption: Story = async ({ client, random }) => {
  const { modulus, prime } = knownRsaKey();
  const { objectHandle: keyHandle } = await client.LoadExternal({
    inPrivate: { sensitiveType: TPM_ALG.RSA, authValue: EMPTY, seedValue: EMPTY, sensitive: prime },
    inPublic: {
      type: TPM_ALG.RSA,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes: TPMA_OBJECT.userWithAuth | TPMA_OBJECT.decrypt,
      authPolicy: EMPTY,
      parameters: { symmetric: { algorithm: TPM_ALG.NULL }, scheme: NONE, keyBits: 2048, exponent: 0 },
      unique: modulus,
    },
    hierarchy: TPM_RH.NULL,
  });
  const inScheme = random.pick([
    { scheme: TPM_ALG.RSAES },
    { scheme: TPM_ALG.OAEP, details: { hashAlg: TPM_ALG.SHA256 } },
  ] as const);
  const { outData } = await client.RSA_Encrypt({ keyHandle, message: random.bytes(20), inScheme, label: EMPTY });
  await client.RSA_Decrypt({ keyHandle, cipherText: outData, inScheme, label: EMPTY });
};

const NO_TICKET = { tag: TPM_ST.HASHCHECK, hierarchy: TPM_RH.NULL, digest: EMPTY } as const;

async function sign(client: TpmClient, keyHandle: number, digest: Uint8Array) {
  const { signature } = await client.Sign({ keyHandle, digest, inScheme: ECDSA, validation: NO_TICKET });
  if (signature.sigAlg === TPM_ALG.NULL) throw new Error('a signature of no scheme');
  return signature;
}

async function sha256(client: TpmClient, data: Uint8Array): Promise<Uint8Array> {
  const { outHash } = await client.Hash({ data, hashAlg: TPM_ALG.SHA256, hierarchy: TPM_RH.NULL });
  return outHash;
}

const signatures: Story = async ({ client, random }) => {
  const { objectHandle: keyHandle, creationHash, creationTicket } = await primary(client, SIGNING);
  const digest = random.bytes(32);
  const signature = await sign(client, keyHandle, digest);
  await client.VerifySignature({ keyHandle, digest, signature });
  await client.CertifyCreation({
    signHandle: keyHandle,
    objectHandle: keyHandle,
    qualifyingData: EMPTY,
    creationHash,
    inScheme: ECDSA,
    creationTicket,
  });
};

/** Names "t", a month, keyUsage digitalSignature: the least that TPM2_CertifyX509 completes. RFC 5280, section 4.1. */
const NAME = '300c310a300806035504030c0174';
const PARTIAL_CERTIFICATE = new Uint8Array(
  Buffer.from(
    `3050${NAME}301e170d3236303130313030303030305a170d3236303230313030303030305a${NAME}a3123010300e0603551d0f0101ff040403020780`,
    'hex',
  ),
);

const certificate: Story = async ({ client }) => {
  const { objectHandle } = await primary(client, SIGNING);
  await client.CertifyX509({
    objectHandle,
    signHandle: objectHandle,
    reserved: EMPTY,
    inScheme: ECDSA,
    partialCertificate: PARTIAL_CERTIFICATE,
  });
};

const ciphers: Story = async ({ client, random }) => {
  const { objectHandle: keyHandle } = await primary(client, CIPHER);
  const args = { keyHandle, decrypt: random.oneIn(2), mode: TPM_ALG.NULL, ivIn: random.bytes(16) } as const;
  await client.EncryptDecrypt({ ...args, inData: random.bytes(40) });
  await client.EncryptDecrypt2({ ...args, inData: random.bytes(40) });
};

const anonymity: Story = async ({ client, random }) => {
  const { objectHandle: signHandle } = await primary(client, ecc(FIXED | TPMA_OBJECT.sign, ECDAA));
  const { counter } = await client.Commit({ signHandle, P1: { x: EMPTY, y: EMPTY }, s2: EMPTY, y2: EMPTY });
  await client.Sign({
    keyHandle: signHandle,
    digest: random.bytes(32),
    inScheme: { scheme: TPM_ALG.ECDAA, details: { hashAlg: TPM_ALG.SHA256, count: counter } },
    validation: NO_TICKET,
  });
};

const duplication: Story = async ({ client }) => {
  const policy = await policyFor(client, TPM_CC.Duplicate);
  const { objectHandle: parent } = await primary(client, PARENT);
  const made = await client.Create({
    parentHandle: parent,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: ecc(TPMA_OBJECT.sign, ECDSA, policy),
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const { objectHandle } = await client.Load({
    parentHandle: parent,
    inPrivate: made.outPrivate,
    inPublic: made.outPublic,
  });
  const session = await sessionFor(client, TPM_CC.Duplicate);
  const symmetricAlg = { algorithm: TPM_ALG.NULL } as const;
  const wrapped = await client.Duplicate(
    { objectHandle, newParentHandle: parent, encryptionKeyIn: EMPTY, symmetricAlg },
    { auth: { session } },
  );
  const rewrapped = await client.Rewrap({
    oldParent: parent,
    newParent: parent,
    inDuplicate: wrapped.duplicate,
    name: objectName(made.outPublic),
    inSymSeed: wrapped.outSymSeed,
  });
  await client.Import({
    parentHandle: parent,
    encryptionKey: EMPTY,
    objectPublic: made.outPublic,
    duplicate: rewrapped.outDuplicate,
    inSymSeed: rewrapped.outSymSeed,
    symmetricAlg,
  });
};

/** A secret known once, then the ticket that says so; what a key signs; a policy that it approves. */
const approvals: Story = async ({ client }) => {
  // Tickets of the null hierarchy are empty, and approve nothing.
  const { objectHandle: keyHandle } = await primary(client, SIGNING, TPM_RH.OWNER);
  const session = await client.startSession({ type: 'policy' });
  const { timeout, policyTicket } = await client.PolicySecret({
    authHandle: TPM_RH.ENDORSEMENT,
    policySession: session,
    nonceTPM: session.nonceTPM,
    cpHashA: EMPTY,
    policyRef: EMPTY,
    expiration: -100 >>> 0,
  });
  await client.PolicyRestart({ sessionHandle: session });
  await client.PolicyTicket({
    policySession: session,
    timeout,
    cpHashA: EMPTY,
    policyRef: EMPTY,
    authName: Uint8Array.of(0x40, 0, 0, 0x0b),
    ticket: policyTicket,
  });
  await client.PolicySigned({
    authObject: keyHandle,
    policySession: session,
    nonceTPM: EMPTY,
    cpHashA: EMPTY,
    policyRef: EMPTY,
    expiration: 0,
    // Over the expiration alone, the rest being empty.
    auth: await sign(client, keyHandle, await sha256(client, new Uint8Array(4))),
  });
  const { policyDigest } = await client.PolicyGetDigest({ policySession: session });
  // Over the approved policy and an empty reference.
  const outHash = await sha256(client, policyDigest);
  const signature = await sign(client, keyHandle, outHash);
  const { validation } = await client.VerifySignature({ keyHandle, digest: outHash, signature });
  const { name } = await client.ReadPublic({ objectHandle: keyHandle });
  await client.PolicyAuthorize({
    policySession: session,
    approvedPolicy: policyDigest,
    policyRef: EMPTY,
    keySign: name,
    checkTicket: validation,
  });
};

const changes: Story = async ({ client, random }) => {
  const { objectHandle: parentHandle } = await primary(client, PARENT);
  const made = await client.Create({
    parentHandle,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: MAC,
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const load = (inPrivate: Uint8Array) => client.Load({ parentHandle, inPrivate, inPublic: made.outPublic });
  const { objectHandle } = await load(made.outPrivate);
  const newAuth = random.bytes(random.below(32));
  const { outPrivate } = await client.ObjectChangeAuth({ objectHandle, parentHandle, newAuth });
  await client.FlushContext({ flushHandle: objectHandle });
  const { objectHandle: handle } = await load(outPrivate);
  const session = await client.startSession({ encrypt: true, decrypt: true });
  const { sequenceHandle } = await client.HMAC_Start(
    { handle, auth: newAuth, hashAlg: TPM_ALG.NULL },
    { auth: { session, authValue: newAuth } },
  );
  const part = { sequenceHandle, buffer: random.bytes(20) };
  await client.SequenceUpdate(part, { auth: newAuth });
  await client.SequenceComplete({ ...part, hierarchy: TPM_RH.NULL }, { auth: newAuth });
};

const audits: Story = async ({ client }) => {
  const { objectHandle: signHandle } = await primary(client, SIGNING);
  const session = await client.startSession({ audit: true });
  await client.GetRandom({ bytesRequested: 8 }, { sessions: [session] });
  await client.GetSessionAuditDigest({
    privacyAdminHandle: TPM_RH.ENDORSEMENT,
    signHandle,
    sessionHandle: session.handle,
    qualifyingData: EMPTY,
    inScheme: ECDSA,
  });
};

const indexOfBytes: Story = async ({ client, random }) => {
  await client.NV_UndefineSpace({ authHandle: TPM_RH.OWNER, nvIndex: NV_INDEX }).catch(() => {});
  await client.NV_DefineSpace({ authHandle: TPM_RH.OWNER, auth: EMPTY, publicInfo: nvPublic(TPMA_NV.WRITE_STCLEAR) });
  const offset = random.below(17);
  await client.NV_Write({ authHandle: NV_INDEX, nvIndex: NV_INDEX, data: random.bytes(16), offset });
  await client.NV_Read({ authHandle: NV_INDEX, nvIndex: NV_INDEX, size: 16, offset });
  await client.NV_WriteLock({ authHandle: NV_INDEX, nvIndex: NV_INDEX });
};

const indexOfPolicies: Story = async ({ client, random }) => {
  await client.NV_UndefineSpace({ authHandle: TPM_RH.OWNER, nvIndex: NV_INDEX }).catch(() => {});
  const authPolicy = await policyFor(client, TPM_CC.NV_ChangeAuth);
  await client.NV_DefineSpace2({
    authHandle: TPM_RH.OWNER,
    auth: EMPTY,
    publicInfo: { handleType: TPM_HT.NV_INDEX, nvIndex: nvPublic(0, authPolicy) },
  });
  const session = await sessionFor(client, TPM_CC.NV_ChangeAuth);
  await client.NV_ChangeAuth({ nvIndex: NV_INDEX, newAuth: random.bytes(4) }, { auth: { session } });
  await client.NV_UndefineSpace({ authHandle: TPM_RH.OWNER, nvIndex: NV_INDEX });
};

const indexOfThePlatform: Story = async ({ client }) => {
  await client.NV_UndefineSpace({ authHandle: TPM_RH.OWNER, nvIndex: NV_INDEX }).catch(() => {});
  const authPolicy = await policyFor(client, TPM_CC.NV_UndefineSpaceSpecial);
  await client.NV_DefineSpace({
    authHandle: TPM_RH.PLATFORM,
    auth: EMPTY,
    publicInfo: nvPublic(TPMA_NV.PLATFORMCREATE | TPMA_NV.POLICY_DELETE, authPolicy),
  });
  const session = await sessionFor(client, TPM_CC.NV_UndefineSpaceSpecial);
  await client.NV_UndefineSpaceSpecial(
    { nvIndex: NV_INDEX, platform: TPM_RH.PLATFORM },
    { auth: [{ session }, EMPTY] },
  );
};

const presence: Story = async ({ client, setPhysicalPresence }) => {
  setPhysicalPresence(true);
  try {
    await client.PP_Commands({ auth: TPM_RH.PLATFORM, setList: [TPM_CC.Clear], clearList: [] });
    await client.PP_Commands({ auth: TPM_RH.PLATFORM, setList: [], clearList: [TPM_CC.Clear] });
  } finally {
    setPhysicalPresence(false);
  }
};

const readOnly: Story = async ({ client }) => {
  const { handle } = await client.startSession();
  await client.ReadOnlyControl({ authHandle: TPM_RH.PLATFORM, state: true });
  await client.FlushContext({ flushHandle: handle });
  await client.ReadOnlyControl({ authHandle: TPM_RH.PLATFORM, state: false });
};

const powerCycle: Story = async ({ client, random, restart }) => {
  const kind = random.pick([TPM_SU.CLEAR, TPM_SU.STATE]);
  if (!random.oneIn(3)) await client.Shutdown({ shutdownType: kind });
  restart();
  await client.Startup({ startupType: kind });
};

const STORIES: readonly Story[] = [
  credential,
  agreement,
  encryption,
  signatures,
  certificate,
  ciphers,
  anonymity,
  duplication,
  approvals,
  changes,
  audits,
  indexOfBytes,
  indexOfPolicies,
  indexOfThePlatform,
  presence,
  readOnly,
  powerCycle,
];

/** Free the slots, then play one. Ends where the TPM refuses, which most stories with a spoilt command meet. */
export async function play(stage: Stage): Promise<void> {
  const { client, random } = stage;
  for (const property of [TPM_HT.TRANSIENT << 24, TPM_HT.HMAC_SESSION << 24]) {
    const { capabilityData } = await client.GetCapability({
      capability: TPM_CAP.HANDLES,
      property: property >>> 0,
      propertyCount: 64,
    });
    for (const flushHandle of capabilityData.data as readonly number[]) await client.FlushContext({ flushHandle }); // CAP.HANDLES
  }
  await random.pick(STORIES)(stage);
}
