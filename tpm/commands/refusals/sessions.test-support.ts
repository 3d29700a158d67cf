/** Refusals of start-up, testing and session commands. Part 3, sections 9 to 11; of contexts, section 28. */
import {
  TPM_ALG,
  TPM_CAP,
  TPM_ECC,
  TPM_RH,
  TPM_SE,
  TPM_SU,
  TPMA_OBJECT,
  type TPMT_PUBLIC,
} from '../../structures/index.ts';
import {
  AES_CFB,
  type Bench,
  type Case,
  changed,
  DECRYPT,
  EMPTY,
  ecc,
  FIXED,
  HMAC,
  keyedHash,
  NO_SYMMETRIC,
  ORIGIN,
  POINT,
  rsa,
  SIGN,
  storage,
  text,
} from './bench.test-support.ts';

type Start = Parameters<Bench['client']['StartAuthSession']>[0];
const start = (bench: Bench, what: Partial<Start> = {}) =>
  bench.client.StartAuthSession({
    tpmKey: TPM_RH.NULL,
    bind: TPM_RH.NULL,
    nonceCaller: new Uint8Array(16),
    encryptedSalt: EMPTY,
    sessionType: TPM_SE.HMAC,
    symmetric: NO_SYMMETRIC,
    authHash: TPM_ALG.SHA256,
    ...what,
  });
const salted = async (bench: Bench, key: TPMT_PUBLIC, encryptedSalt: Uint8Array) =>
  start(bench, { tpmKey: await bench.primary(key), encryptedSalt });

async function saveSessions(bench: Bench, count: number): Promise<void> {
  for (let i = 0; i < count; i++) {
    const { sessionHandle } = await start(bench);
    await bench.client.ContextSave({ saveHandle: sessionHandle });
  }
}

async function savedObject(bench: Bench, area: TPMT_PUBLIC = storage(FIXED), hierarchy: number = TPM_RH.OWNER) {
  return (await bench.client.ContextSave({ saveHandle: await bench.primary(area, EMPTY, hierarchy) })).context;
}
async function savedSession(bench: Bench) {
  const { sessionHandle } = await start(bench);
  return (await bench.client.ContextSave({ saveHandle: sessionHandle })).context;
}

const evict = (bench: Bench, objectHandle: number, persistentHandle = 0x81000001, auth: number = TPM_RH.OWNER) =>
  bench.client.EvictControl({ auth, objectHandle, persistentHandle });

let agedOnce: Promise<{ bench: Bench; newest: Context }> | undefined;
type Context = Awaited<ReturnType<typeof savedSession>>;

/** A TPM with as many contexts between its oldest saved session and its newest as there may be: made once, for it takes seconds. */
function aged(bench: Bench) {
  bench.advance(0); // only where 130,000 commands take no more than seconds
  agedOnce ??= (async () => {
    await savedSession(bench);
    let newest = await savedSession(bench);
    for (let i = 0; i < 0xffff - 1; i++) {
      const { loadedHandle: saveHandle } = await bench.client.ContextLoad({ context: newest });
      newest = (await bench.client.ContextSave({ saveHandle })).context;
    }
    return { bench, newest };
  })();
  return agedOnce;
}

/** With all session slots but one taken. */
async function crowded<T>(bench: Bench, run: () => Promise<T>): Promise<T> {
  const taken = [await start(bench), await start(bench)];
  try {
    return await run();
  } finally {
    for (const { sessionHandle } of taken) await bench.flush(sessionHandle);
  }
}

const gaps: readonly Case[] = [
  [
    'ContextLoad',
    'CONTEXT_GAP',
    '',
    'the last slot is kept for the oldest saved session',
    async (fresh) => {
      const { bench, newest: context } = await aged(fresh);
      return crowded(bench, () => bench.client.ContextLoad({ context }));
    },
  ],
  [
    'StartAuthSession',
    'CONTEXT_GAP',
    '',
    'the last slot is kept for the oldest saved session',
    async (fresh) => {
      const { bench } = await aged(fresh);
      return crowded(bench, () => start(bench));
    },
  ],
  [
    'ContextSave',
    'CONTEXT_GAP',
    '',
    'the oldest saved session is too far behind',
    async (fresh) => {
      const { bench, newest: context } = await aged(fresh);
      await bench.client.ContextLoad({ context });
      return bench.client.ContextSave({ saveHandle: context.savedHandle });
    },
  ],
];

export const sessionCases: readonly Case[] = [
  ...gaps,
  ['Startup', 'LOCALITY', '', 'from locality 1', (bench) => bench.restart().then(() => bench.startup(1))],
  [
    'Startup',
    'VALUE',
    'p1',
    'nothing was saved',
    (bench) => bench.restart().then(() => bench.startup(0, TPM_SU.STATE)),
  ],
  ['Startup', 'INITIALIZE', '', 'it is started', (bench) => bench.startup()],
  [
    'Shutdown',
    'TYPE',
    'p1',
    'banks of PCR are to change',
    async ({ client }) => {
      await client.PCR_Allocate({
        authHandle: TPM_RH.PLATFORM,
        pcrAllocation: [{ hash: TPM_ALG.SHA1, pcrSelect: [] }],
      });
      return client.Shutdown({ shutdownType: TPM_SU.STATE });
    },
  ],
  [
    'IncrementalSelfTest',
    'VALUE',
    'p1',
    'an algorithm that there is not',
    ({ client }) => client.IncrementalSelfTest({ toTest: [TPM_ALG.SHA256, 0x7fff] }),
  ],

  [
    'StartAuthSession',
    'ATTRIBUTES',
    'h1',
    'the key does not decrypt',
    (bench) => salted(bench, ecc(SIGN), text('a salt')),
  ],
  [
    'StartAuthSession',
    'HANDLE',
    'h1',
    'the key has no private part',
    async (bench) => {
      const tpmKey = await bench.publicOnly({ ...ecc(DECRYPT), unique: POINT });
      return start(bench, { tpmKey, encryptedSalt: text('a salt') });
    },
  ],
  [
    'StartAuthSession',
    'KEY',
    'h1',
    'the key is not asymmetric',
    (bench) => salted(bench, keyedHash(SIGN | ORIGIN, HMAC), text('a salt')),
  ],
  [
    'StartAuthSession',
    'MODE',
    'p4',
    'a mode that is not CFB',
    (bench) => start(bench, { symmetric: { ...AES_CFB, mode: TPM_ALG.CTR as typeof TPM_ALG.CFB } }),
  ],
  [
    'StartAuthSession',
    'SESSION_HANDLES',
    '',
    '64 sessions are active',
    async (bench) => {
      await saveSessions(bench, 64);
      return start(bench);
    },
  ],
  [
    'StartAuthSession',
    'SESSION_MEMORY',
    '',
    'three sessions are loaded',
    async (bench) => {
      for (let i = 0; i < 3; i++) await start(bench);
      return start(bench);
    },
  ],
  [
    'StartAuthSession',
    'SIZE',
    'p1',
    'a nonce of 15 octets',
    (bench) => start(bench, { nonceCaller: new Uint8Array(15) }),
  ],
  [
    'StartAuthSession',
    'SIZE',
    'p1',
    'a nonce longer than the digest',
    (bench) => start(bench, { nonceCaller: new Uint8Array(33) }),
  ],
  ['StartAuthSession', 'VALUE', 'p2', 'a salt, and no key', (bench) => start(bench, { encryptedSalt: text('a salt') })],
  ['StartAuthSession', 'VALUE', 'p2', 'a key, and no salt', (bench) => salted(bench, storage(FIXED), EMPTY)],
  [
    'StartAuthSession',
    'VALUE',
    'p2',
    'a salt above the modulus',
    (bench) => salted(bench, rsa(DECRYPT), new Uint8Array(256).fill(255)),
  ],

  [
    'ContextLoad',
    'HANDLE',
    'p1',
    'a session that was flushed',
    async (bench) => {
      const context = await savedSession(bench);
      await bench.flush(context.savedHandle);
      return bench.client.ContextLoad({ context });
    },
  ],
  [
    'ContextLoad',
    'HANDLE',
    'p1',
    'a session that is back already',
    async (bench) => {
      const context = await savedSession(bench);
      await bench.client.ContextLoad({ context });
      return bench.client.ContextLoad({ context });
    },
  ],
  [
    'ContextLoad',
    'HIERARCHY',
    'p1',
    'its hierarchy is switched off',
    async (bench) => {
      const context = await savedObject(bench);
      await bench.client.HierarchyControl({ authHandle: TPM_RH.OWNER, enable: TPM_RH.OWNER, state: false });
      return bench.client.ContextLoad({ context });
    },
  ],
  [
    'ContextLoad',
    'INTEGRITY',
    'p1',
    'it was changed',
    async (bench) => {
      const context = await savedObject(bench);
      return bench.client.ContextLoad({ context: { ...context, contextBlob: changed(context.contextBlob) } });
    },
  ],
  [
    'ContextLoad',
    'INTEGRITY',
    'p1',
    'it is of before the last TPM Reset',
    async (bench) => {
      const context = await savedObject(bench);
      await bench.restart();
      await bench.startup();
      return bench.client.ContextLoad({ context });
    },
  ],
  [
    'ContextLoad',
    'OBJECT_MEMORY',
    '',
    'no slot is free',
    async (bench) => {
      const context = await savedObject(bench);
      for (let i = 0; i < 2; i++) await bench.primary(storage(FIXED));
      return bench.client.ContextLoad({ context });
    },
  ],
  [
    'ContextLoad',
    'SESSION_MEMORY',
    '',
    'three sessions are loaded',
    async (bench) => {
      const context = await savedSession(bench);
      for (let i = 0; i < 3; i++) await start(bench);
      return bench.client.ContextLoad({ context });
    },
  ],
  [
    'ContextLoad',
    'SIZE',
    'p1',
    'an empty blob',
    async (bench) => {
      const context = await savedObject(bench);
      return bench.client.ContextLoad({ context: { ...context, contextBlob: EMPTY } });
    },
  ],

  ['FlushContext', 'HANDLE', 'p1', 'no such object', (bench) => bench.flush(0x80000000)],
  ['FlushContext', 'HANDLE', 'p1', 'no such session', (bench) => bench.flush(0x02000000)],

  [
    'EvictControl',
    'ATTRIBUTES',
    'h2',
    'an object of the null hierarchy',
    async (bench) => evict(bench, await bench.primary(storage(FIXED), EMPTY, TPM_RH.NULL)),
  ],
  [
    'EvictControl',
    'ATTRIBUTES',
    'h2',
    'an object that TPM Restart forgets',
    async (bench) => evict(bench, await bench.primary(storage(FIXED | TPMA_OBJECT.stClear))),
  ],
  [
    'EvictControl',
    'ATTRIBUTES',
    'h2',
    'a public part',
    async (bench) => evict(bench, await bench.publicOnly({ ...ecc(SIGN), unique: POINT }, TPM_RH.OWNER)),
  ],
  [
    'EvictControl',
    'HIERARCHY',
    'h2',
    'the owner’s object, by the platform',
    async (bench) => evict(bench, await bench.primary(storage(FIXED)), 0x81800000, TPM_RH.PLATFORM),
  ],
  [
    'EvictControl',
    'HIERARCHY',
    'h2',
    'the platform’s object, by the owner',
    async (bench) => evict(bench, await bench.primary(storage(FIXED), EMPTY, TPM_RH.PLATFORM)),
  ],
  [
    'EvictControl',
    'HANDLE',
    'h2',
    'to be removed under another handle',
    async (bench) => {
      await evict(bench, await bench.primary(storage(FIXED)));
      return evict(bench, 0x81000001, 0x81000002);
    },
  ],
  [
    'EvictControl',
    'NV_DEFINED',
    '',
    'the handle is taken',
    async (bench) => {
      const handle = await bench.primary(storage(FIXED));
      await evict(bench, handle);
      return evict(bench, handle);
    },
  ],
  [
    'EvictControl',
    'NV_SPACE',
    '',
    'no place is free',
    async (bench) => {
      const handle = await bench.primary(storage(FIXED));
      for (let i = 0; i < 65; i++) await evict(bench, handle, 0x81000000 + i);
      return evict(bench, handle, 0x81000100);
    },
  ],
  [
    'EvictControl',
    'RANGE',
    'p1',
    'the platform’s range, by the owner',
    async (bench) => evict(bench, await bench.primary(storage(FIXED)), 0x81800000),
  ],

  [
    'GetCapability',
    'HANDLE',
    'p2',
    'handles of no kind',
    ({ client }) => client.GetCapability({ capability: TPM_CAP.HANDLES, property: 0x55000000, propertyCount: 1 }),
  ],
  [
    'GetCapability',
    'VALUE',
    'p1',
    'no capability',
    ({ client }) => client.GetCapability({ capability: 0x55, property: 0, propertyCount: 1 }),
  ],
  [
    'GetCapability',
    'VALUE',
    'p2',
    'PCR banks from the second',
    ({ client }) => client.GetCapability({ capability: TPM_CAP.PCRS, property: 1, propertyCount: 1 }),
  ],
  [
    'ECC_Parameters',
    'CURVE',
    'p1',
    'a curve that there is not',
    ({ client }) => client.ECC_Parameters({ curveID: TPM_ECC.NONE as typeof TPM_ECC.NIST_P256 }),
  ],
  [
    'ClockSet',
    'VALUE',
    'p1',
    'back',
    async ({ client }) => {
      await client.ClockSet({ auth: TPM_RH.OWNER, newTime: 1_000_000_000n });
      return client.ClockSet({ auth: TPM_RH.OWNER, newTime: 1n });
    },
  ],
  [
    'ClockSet',
    'VALUE',
    'p1',
    'so far that it could wrap',
    ({ client }) => client.ClockSet({ auth: TPM_RH.OWNER, newTime: 0xffff_0000_0000_0001n }),
  ],
];
