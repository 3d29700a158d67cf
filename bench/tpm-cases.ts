/** The commands that `npm run bench:tpm` times, each with what must be there before it. */
import { createHash, createHmac, randomBytes } from 'node:crypto';
import {
  ALG,
  CC,
  command,
  EMPTY,
  type Fields,
  join,
  NO_SCHEME,
  NOTHING,
  nvPublic,
  open,
  RH,
  scheme,
  selection,
  sensitive,
  sized,
  template,
  u8,
  u16,
  u32,
} from '../test/support/tpm-wire.ts';

/** Sends a command's bytes; resolves with the response's. */
export type Exchange = (command: Uint8Array) => Promise<Uint8Array>;

/** A prepared case: `run` is timed, `after` undoes a sample, `cleanup` the whole. */
export interface Prepared {
  run(): Promise<unknown>;
  after?(): Promise<unknown>;
  cleanup?(): Promise<unknown>;
}

export interface Case {
  readonly name: string;
  readonly kind: 'public-key' | 'nv-write' | 'other';
  /** Key generation: few samples. */
  readonly slow?: boolean;
  /** A search for primes, of another key each time: its samples spread over a factor of ten. */
  readonly search?: boolean;
  prepare(send: Exchange, srk: number): Promise<Prepared> | Prepared;
}

const message = Buffer.from('nexus');
const digest = createHash('sha256').update(message).digest();
const kilobyte = randomBytes(1024);
const NV_DATA = 0x01500c00;
const NV_COUNTER = 0x01500c01;
const NULL_TICKET = join(u16(0x8024), u32(RH.NULL), EMPTY);

/** Make the TCG's ECC storage root key; returns its handle. */
export async function createSrk(send: Exchange): Promise<number> {
  return open(await send(createPrimary(template.eccStorage())), true).handle;
}

const createPrimary = (publicTemplate: Uint8Array) =>
  command(CC.CreatePrimary, [RH.OWNER], 1, sensitive(), publicTemplate, EMPTY, u32(0));
const create = (parent: number, publicTemplate: Uint8Array, data?: Uint8Array) =>
  command(CC.Create, [parent], 1, sensitive(data), publicTemplate, EMPTY, u32(0));
const flush = (handle: number) => command(CC.FlushContext, [], 0, u32(handle));

/** Create a key and load it. */
async function makeKey(send: Exchange, parent: number, publicTemplate: Uint8Array, data?: Uint8Array) {
  const { parameters } = open(await send(create(parent, publicTemplate, data)));
  const blob = join(sized(parameters.sized()), sized(parameters.sized()));
  const load = command(CC.Load, [parent], 1, blob);
  return { key: open(await send(load), true).handle, load };
}

/** A case on a key made for it. `bytes` may talk to the TPM to learn what it needs. */
function onKey(
  name: string,
  kind: Case['kind'],
  publicTemplate: () => Uint8Array,
  bytes: (key: number, send: Exchange) => Uint8Array | Promise<Uint8Array>,
): Case {
  return {
    name,
    kind,
    async prepare(send, srk) {
      const { key } = await makeKey(send, srk, publicTemplate());
      const timed = await bytes(key, send);
      return { run: async () => open(await send(timed)), cleanup: () => send(flush(key)) };
    },
  };
}

/** A case of one fixed command. */
function fixed(name: string, kind: Case['kind'], bytes: (srk: number) => Uint8Array): Case {
  return {
    name,
    kind,
    prepare(send, srk) {
      const timed = bytes(srk);
      return { run: async () => open(await send(timed)) };
    },
  };
}

/** A case whose command makes an object that each sample flushes. */
function making(name: string, kind: Case['kind'], slow: boolean, bytes: (srk: number) => Uint8Array): Case {
  return {
    name,
    kind,
    slow,
    prepare(send, srk) {
      let made = 0;
      return {
        async run() {
          made = open(await send(bytes(srk)), true).handle;
        },
        after: () => send(flush(made)),
      };
    },
  };
}

function loading(name: string, publicTemplate: () => Uint8Array): Case {
  return {
    name,
    kind: 'other',
    async prepare(send, srk) {
      const { key, load } = await makeKey(send, srk, publicTemplate());
      await send(flush(key));
      let loaded = 0;
      return {
        async run() {
          loaded = open(await send(load), true).handle;
        },
        after: () => send(flush(loaded)),
      };
    },
  };
}

/** A case on an NV index made for it. */
function onNv(
  name: string,
  kind: Case['kind'],
  index: number,
  attributes: number,
  size: number,
  bytes: () => Uint8Array,
  first?: Uint8Array,
): Case {
  return {
    name,
    kind,
    async prepare(send) {
      const remove = command(CC.NV_UndefineSpace, [RH.OWNER, index], 1);
      await send(remove);
      open(await send(command(CC.NV_DefineSpace, [RH.OWNER], 1, EMPTY, nvPublic(index, attributes, size))));
      if (first) open(await send(first));
      return { run: async () => open(await send(bytes())), cleanup: () => send(remove) };
    },
  };
}

/** OWNERWRITE, AUTHWRITE, OWNERREAD, AUTHREAD, NO_DA. */
const NV_ORDINARY = 0x02060006;
const NV_COUNTING = 0x02060016;
const nvWrite = () => command(CC.NV_Write, [RH.OWNER, NV_DATA], 1, sized(randomBytes(32)), u16(0));

const startSession = (type: number, nonce: Uint8Array) =>
  command(CC.StartAuthSession, [RH.NULL, RH.NULL], 0, sized(nonce), EMPTY, u8(type), NO_SCHEME, u16(ALG.SHA256));
const SESSION = { HMAC: 0, POLICY: 1, TRIAL: 3 };

const sign = (key: number) => command(CC.Sign, [key], 1, sized(digest), NO_SCHEME, NULL_TICKET);
const quote = (pcrs: readonly number[]) => (key: number) =>
  command(CC.Quote, [key], 1, sized(message), NO_SCHEME, selection(pcrs));
const verify = async (key: number, send: Exchange) =>
  command(CC.VerifySignature, [key], 0, sized(digest), open(await send(sign(key))).parameters.rest());

export const CASES: readonly Case[] = [
  fixed('GetRandom 32 B', 'other', () => command(CC.GetRandom, [], 0, u16(32))),
  fixed('GetCapability (fixed properties)', 'other', () =>
    command(CC.GetCapability, [], 0, u32(6), u32(0x100), u32(48)),
  ),
  fixed('PCR_Read (8 of SHA-256)', 'other', () => command(CC.PCR_Read, [], 0, selection([0, 1, 2, 3, 4, 5, 6, 7]))),
  fixed('PCR_Extend (SHA-256)', 'other', () => command(CC.PCR_Extend, [16], 1, u32(1), u16(ALG.SHA256), digest)),
  fixed('Hash 1 KiB (SHA-256)', 'other', () => command(CC.Hash, [], 0, sized(kilobyte), u16(ALG.SHA256), u32(RH.NULL))),
  onKey('HMAC 1 KiB (SHA-256)', 'other', template.hmac, (key) =>
    command(CC.HMAC, [key], 1, sized(kilobyte), NO_SCHEME),
  ),
  onKey('EncryptDecrypt2 1 KiB (AES-128-CFB)', 'other', template.aes, (key) =>
    command(CC.EncryptDecrypt2, [key], 1, sized(kilobyte), u8(0), u16(ALG.CFB), sized(new Uint8Array(16))),
  ),
  making('StartAuthSession (HMAC, unsalted)', 'other', false, () => startSession(SESSION.HMAC, randomBytes(16))),
  fixed('ReadPublic (ECC)', 'other', (srk) => command(CC.ReadPublic, [srk], 0)),
  onKey('ContextSave (ECC key)', 'other', template.eccSign, (key) => command(CC.ContextSave, [key], 0)),
  {
    name: 'ContextLoad (ECC key)',
    kind: 'other',
    async prepare(send, srk) {
      const { key } = await makeKey(send, srk, template.eccSign());
      const context = open(await send(command(CC.ContextSave, [key], 0))).parameters.rest();
      await send(flush(key));
      const timed = command(CC.ContextLoad, [], 0, context);
      let loaded = 0;
      return {
        async run() {
          loaded = open(await send(timed), true).handle;
        },
        after: () => send(flush(loaded)),
      };
    },
  },
  onNv(
    'NV_Read 32 B',
    'other',
    NV_DATA,
    NV_ORDINARY,
    32,
    () => command(CC.NV_Read, [RH.OWNER, NV_DATA], 1, u16(32), u16(0)),
    nvWrite(),
  ),
  { name: 'NV_Read 32 B, HMAC session', kind: 'other', prepare: prepareSessionRead },
  onNv('NV_Write 32 B', 'nv-write', NV_DATA, NV_ORDINARY, 32, nvWrite),
  onNv('NV_Increment', 'nv-write', NV_COUNTER, NV_COUNTING, 8, () =>
    command(CC.NV_Increment, [RH.OWNER, NV_COUNTER], 1),
  ),
  loading('Load (ECC key)', template.eccSign),
  loading('Load (RSA-2048 key)', template.rsaSign),
  onKey('Sign (ECDSA P-256)', 'public-key', template.eccSign, sign),
  onKey('Sign (RSASSA-2048)', 'public-key', template.rsaSign, sign),
  onKey('VerifySignature (ECDSA P-256)', 'public-key', template.eccSign, verify),
  onKey('VerifySignature (RSASSA-2048)', 'public-key', template.rsaSign, verify),
  onKey('Quote (ECC AK, 3 PCRs)', 'public-key', template.eccAttest, quote([0, 1, 2])),
  onKey('Quote (ECC AK, 24 PCRs)', 'public-key', template.eccAttest, quote([...Array(24).keys()])),
  onKey('ECDH_KeyGen (P-256)', 'public-key', template.eccDh, (key) => command(CC.ECDH_KeyGen, [key], 0)),
  onKey('ECDH_ZGen (P-256)', 'public-key', template.eccDh, async (key, send) => {
    const { parameters } = open(await send(command(CC.ECDH_KeyGen, [key], 0)));
    parameters.sized();
    return command(CC.ECDH_ZGen, [key], 1, sized(parameters.sized()));
  }),
  onKey('RSA_Encrypt (OAEP-2048)', 'public-key', template.rsaDecrypt, (key) => rsaEncrypt(key)),
  onKey('RSA_Decrypt (OAEP-2048)', 'public-key', template.rsaDecrypt, async (key, send) => {
    const cipher = open(await send(rsaEncrypt(key))).parameters.sized();
    return command(CC.RSA_Decrypt, [key], 1, sized(cipher), scheme(ALG.OAEP), EMPTY);
  }),
  { name: 'Unseal, PCR policy (3 commands)', kind: 'other', prepare: prepareUnseal },
  { ...fixed('Create (ECC P-256 signing key)', 'public-key', (srk) => create(srk, template.eccSign())), slow: true },
  making('CreatePrimary (ECC P-256 storage)', 'public-key', true, () =>
    createPrimary(template.eccStorage(randomBytes(32))),
  ),
  {
    ...fixed('Create (RSA-2048 signing key)', 'public-key', (srk) => create(srk, template.rsaSign())),
    slow: true,
    search: true,
  },
  {
    ...making('CreatePrimary (RSA-2048 storage)', 'public-key', true, () =>
      createPrimary(template.rsaStorage(randomBytes(256))),
    ),
    search: true,
  },
];

function rsaEncrypt(key: number): Uint8Array {
  return command(CC.RSA_Encrypt, [key], 0, sized(message), scheme(ALG.OAEP), EMPTY);
}

/** NV_Read authorised by an unbound, unsalted HMAC session over an empty authorisation value. */
async function prepareSessionRead(send: Exchange): Promise<Prepared> {
  const remove = command(CC.NV_UndefineSpace, [RH.OWNER, NV_DATA], 1);
  await send(remove);
  open(await send(command(CC.NV_DefineSpace, [RH.OWNER], 1, EMPTY, nvPublic(NV_DATA, NV_ORDINARY, 32))));
  open(await send(nvWrite()));
  const { parameters } = open(await send(command(CC.NV_ReadPublic, [NV_DATA], 0)));
  parameters.sized();
  const names = join(u32(RH.OWNER), parameters.sized());
  const started = open(await send(startSession(SESSION.HMAC, randomBytes(16))), true);
  let nonceTpm = started.parameters.sized();
  const read = join(u16(32), u16(0));
  const cpHash = createHash('sha256').update(u32(CC.NV_Read)).update(names).update(read).digest();
  const continueSession = u8(1);
  return {
    async run() {
      const nonceCaller = randomBytes(16);
      const hmac = createHmac('sha256', NOTHING)
        .update(cpHash)
        .update(nonceCaller)
        .update(nonceTpm)
        .update(continueSession)
        .digest();
      const session = join(u32(started.handle), sized(nonceCaller), continueSession, sized(hmac));
      nonceTpm = open(await send(command(CC.NV_Read, [RH.OWNER, NV_DATA], [session], read))).auth.sized();
    },
    async cleanup() {
      await send(flush(started.handle));
      await send(remove);
    },
  };
}

async function prepareUnseal(send: Exchange, srk: number): Promise<Prepared> {
  const policyPcr = (session: number) => command(CC.PolicyPCR, [session], 0, EMPTY, selection([0, 1, 2]));
  const trial = open(await send(startSession(SESSION.TRIAL, randomBytes(16))), true).handle;
  open(await send(policyPcr(trial)));
  const policy = open(await send(command(CC.PolicyGetDigest, [trial], 0))).parameters.sized();
  await send(flush(trial));
  const { key } = await makeKey(send, srk, template.sealed(policy), randomBytes(32));
  return {
    async run() {
      const session = open(await send(startSession(SESSION.POLICY, randomBytes(16))), true).handle;
      open(await send(policyPcr(session)));
      const auth = join(u32(session), EMPTY, u8(0), EMPTY);
      const unsealed: Fields = open(await send(command(CC.Unseal, [key], [auth]))).parameters;
      if (unsealed.sized().length !== 32) throw new Error('unsealed data of another length');
    },
    cleanup: () => send(flush(key)),
  };
}
