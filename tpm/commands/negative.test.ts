/** Refusals that follow from the declarations, for every command: Part 3, sections 5.2 to 5.9. */
import { beforeAll, describe, expect, it } from 'vitest';
import { TpmClient } from '../client/index.ts';
import {
  atHandle,
  atParameter,
  baseCode,
  type Fields,
  Reader,
  type Schema,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM_ST,
  TPM_SU,
  TPMA_NV,
  TPMA_OBJECT,
  TPMA_SESSION,
  TpmError,
  Writer,
} from '../structures/index.ts';
import { Tpm } from '../tpm.ts';
import type { AnyCommand } from './command.ts';
import { allCommands } from './index.ts';

const EMPTY = new Uint8Array(0);
const commands = allCommands.map((command) => command as unknown as AnyCommand);

/** The least octets that a schema reads without refusing. */
function least(schema: Schema<unknown>): Uint8Array {
  const shape = schema.shape;
  const join = (fields: Fields): number[] => Object.values(fields).flatMap((field) => [...least(field)]);
  const octets = (value: number, size: number): number[] =>
    Array.from({ length: size }, (_, i) => Math.floor(value / 2 ** (8 * (size - 1 - i))) & 0xff);
  switch (shape?.kind) {
    case 'number':
      return Uint8Array.from(octets(shape.values?.[0] ?? 0, shape.bytes));
    case 'attributes':
      return new Uint8Array(shape.bytes);
    case 'buffer':
      return new Uint8Array(2);
    case 'fixed':
      return new Uint8Array(shape.size);
    case 'sized': {
      if (shape.optional) return new Uint8Array(2);
      const inner = least(shape.inner);
      return Uint8Array.from([...octets(inner.length, 2), ...inner]);
    }
    case 'list': {
      const element = [...least(shape.element)];
      return Uint8Array.from([...octets(shape.min, 4), ...Array.from({ length: shape.min }, () => element).flat()]);
    }
    case 'struct':
      return Uint8Array.from(join(shape.fields));
    case 'tagged': {
      const tag = Number(Object.keys(shape.variants)[0]);
      const common = Object.entries(shape.common).flatMap(([name, field]) =>
        name === shape.tag ? octets(tag, field === undefined ? 2 : least(field).length) : [...least(field)],
      );
      return Uint8Array.from([...common, ...join(shape.variants[tag] ?? {})]);
    }
    default: {
      // Opaque ones: the shortest run of zeros that it takes.
      for (let size = 0; size <= 16; size++) {
        const zeros = new Uint8Array(size);
        try {
          const reader = new Reader(zeros);
          schema.read(reader);
          if (reader.remaining === 0) return zeros;
        } catch (error) {
          if (!(error instanceof TpmError)) throw error;
        }
      }
      return Uint8Array.of(1);
    }
  }
}

const reads = (schema: Schema<unknown>): boolean => {
  try {
    schema.read(new Reader(least(schema)));
    return true;
  } catch {
    return false;
  }
};

let tpm: Tpm;
let candidates: number[];

beforeAll(async () => {
  tpm = await Tpm.create();
  tpm.powerOn();
  tpm.setPhysicalPresence(true);
  const client = await TpmClient.of(tpm);
  await client.Startup({ startupType: TPM_SU.CLEAR });
  const { objectHandle } = await client.CreatePrimary({
    primaryHandle: TPM_RH.OWNER,
    inSensitive: { userAuth: EMPTY, data: EMPTY },
    inPublic: {
      type: TPM_ALG.KEYEDHASH,
      nameAlg: TPM_ALG.SHA256,
      objectAttributes:
        TPMA_OBJECT.sign | TPMA_OBJECT.userWithAuth | TPMA_OBJECT.sensitiveDataOrigin | TPMA_OBJECT.noDA,
      authPolicy: EMPTY,
      parameters: { scheme: { scheme: TPM_ALG.HMAC, details: { hashAlg: TPM_ALG.SHA256 } } },
      unique: EMPTY,
    },
    outsideInfo: EMPTY,
    creationPCR: [],
  });
  const nvIndex = 0x01000001;
  const attributes = TPMA_NV.AUTHREAD | TPMA_NV.AUTHWRITE | TPMA_NV.OWNERREAD | TPMA_NV.OWNERWRITE | TPMA_NV.NO_DA;
  await client.NV_DefineSpace({
    authHandle: TPM_RH.OWNER,
    auth: EMPTY,
    publicInfo: { nvIndex, nameAlg: TPM_ALG.SHA256, attributes, authPolicy: EMPTY, dataSize: 8 },
  });
  const { sequenceHandle } = await client.HashSequenceStart({ auth: EMPTY, hashAlg: TPM_ALG.SHA256 });
  const policy = await client.startSession({ type: 'policy' });
  const hmac = await client.startSession();
  candidates = [
    TPM_RH.OWNER,
    TPM_RH.PLATFORM,
    TPM_RH.ENDORSEMENT,
    TPM_RH.LOCKOUT,
    objectHandle,
    sequenceHandle,
    nvIndex,
    policy.handle,
    hmac.handle,
    0,
  ];
});

/** Handles that a command takes, and are there; undefined when this test has none of a kind. */
function handlesFor(command: AnyCommand): number[] | undefined {
  const handles = command.handleList.map(({ kind, name }) => {
    const wanted = name === 'authHandle' && command.handleList.some((other) => other.name === 'nvIndex');
    const ordered = wanted ? [...candidates.slice(6, 7), ...candidates] : candidates;
    // A sequence is no object and an object no sequence: prefer the one that names say.
    const sequence = /sequence/i.test(name) && !/session/i.test(name);
    return ordered.find((handle) => {
      if (!kind.accepts(handle)) return false;
      if (handle >>> 24 === 0x80) return (handle === candidates[5]) === sequence;
      return true;
    });
  });
  return handles.every((handle) => handle !== undefined) ? handles : undefined;
}

function encodeCommand(
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
  sessions: boolean,
): Uint8Array {
  const w = new Writer();
  w.u16(sessions ? TPM_ST.SESSIONS : TPM_ST.NO_SESSIONS);
  w.u32(0);
  w.u32(command.code);
  for (const handle of handles) w.u32(handle);
  if (sessions) {
    w.u32(command.authCount * 9);
    for (let i = 0; i < command.authCount; i++) {
      w.u32(TPM_RH.PW);
      w.u16(0);
      w.u8(TPMA_SESSION.continueSession);
      w.u16(0);
    }
  }
  w.bytes(parameters);
  w.view.setUint32(2, w.pos);
  return w.finish();
}

async function run(bytes: Uint8Array): Promise<number> {
  const response = await tpm.execute(bytes);
  return new DataView(response.buffer, response.byteOffset).getUint32(6);
}

/** Only a policy authorises these. */
const POLICY_ONLY = new Set<number>([TPM_CC.Duplicate, TPM_CC.NV_ChangeAuth, TPM_CC.NV_UndefineSpaceSpecial]);
const BEFORE_STARTUP = new Set<number>([TPM_CC.Startup]);
const testable = commands.filter(({ code }) => !POLICY_ONLY.has(code) && !BEFORE_STARTUP.has(code));

describe('refusals by declaration', () => {
  it.each(commands.filter(({ authCount }) => authCount > 0))(
    '$name without sessions: TPM_RC_AUTH_MISSING',
    async (command) => {
      const handles = handlesFor(command);
      expect(handles).toBeDefined();
      expect(await run(encodeCommand(command, handles ?? [], EMPTY, false))).toBe(TPM_RC.AUTH_MISSING);
    },
  );

  it.each(commands.filter(({ handleList, beforeStartup }) => handleList.length > 0 && !beforeStartup))(
    '$name with a handle of no kind: TPM_RC_VALUE with the number of the handle; without: TPM_RC_INSUFFICIENT',
    async (command) => {
      const handles = handlesFor(command) ?? [];
      for (let i = 0; i < handles.length; i++) {
        const bad = handles.map((handle, at) => (at === i ? 0xfe000000 : handle));
        expect(await run(encodeCommand(command, bad, EMPTY, false))).toBe(atHandle(TPM_RC.VALUE, i + 1));
        const short = encodeCommand(command, handles.slice(0, i), EMPTY, false);
        expect(await run(short)).toBe(atHandle(TPM_RC.INSUFFICIENT, i + 1));
      }
    },
  );

  it.each(testable.filter(({ paramList }) => paramList.length > 0))(
    '$name cut short: TPM_RC_INSUFFICIENT with the number of the parameter',
    async (command) => {
      const handles = handlesFor(command) ?? [];
      let before = EMPTY as Uint8Array;
      for (const [i, { schema }] of command.paramList.entries()) {
        const bytes = encodeCommand(command, handles, before, command.authCount > 0);
        expect(await run(bytes)).toBe(atParameter(TPM_RC.INSUFFICIENT, i + 1));
        if (!reads(schema)) return;
        before = Uint8Array.from([...before, ...least(schema)]);
      }
    },
  );

  it.each(testable.filter(({ paramList }) => paramList.every(({ schema }) => reads(schema))))(
    '$name with octets left over: TPM_RC_SIZE',
    async (command) => {
      const handles = handlesFor(command) ?? [];
      const all = command.paramList.flatMap(({ schema }) => [...least(schema)]);
      const code = await run(encodeCommand(command, handles, Uint8Array.from([...all, 0]), command.authCount > 0));
      expect(baseCode(code)).toBe(TPM_RC.SIZE);
    },
  );

  it('a size that is not the size of the buffer: TPM_RC_COMMAND_SIZE; an unknown tag: TPM_RC_BAD_TAG', async () => {
    const bytes = encodeCommand(commands[1]!, [], Uint8Array.of(0, 0), false);
    const longer = Uint8Array.from([...bytes, 0]);
    expect(await run(longer)).toBe(TPM_RC.COMMAND_SIZE);
    bytes[0] = 0;
    expect(await run(bytes)).toBe(TPM_RC.BAD_TAG);
    expect(await run(EMPTY)).toBe(TPM_RC.COMMAND_SIZE);
  });

  it.each([0x12f, 0x141, 0x179, 0x194, 0x195, 0x196, 0x198, 0x20000000, 0])(
    'command code %i is not implemented: TPM_RC_COMMAND_CODE',
    async (code) => {
      const bytes = Uint8Array.of(0x80, 1, 0, 0, 0, 10, code >>> 24, code >>> 16, code >>> 8, code);
      expect(await run(bytes)).toBe(TPM_RC.COMMAND_CODE);
    },
  );
});

describe('published attacks', () => {
  /** A command whose first parameter a session says it has encrypted. The HMAC is right: no key, so it is checked. */
  async function encrypted(parameters: Uint8Array): Promise<number> {
    const client = await TpmClient.of(tpm);
    const session = await client.startSession({ decrypt: true });
    session.nonceCaller = client.crypto.random(32);
    const w = new Writer();
    w.u16(TPM_ST.SESSIONS);
    w.u32(0);
    w.u32(TPM_CC.StirRandom);
    const cp = client.crypto.hash(TPM_ALG.SHA256, Uint8Array.of(0, 0, 1, 0x46), parameters);
    const attributes = Uint8Array.of(session.attributes);
    const hmac = client.crypto.hmac(TPM_ALG.SHA256, EMPTY, cp, session.nonceCaller, session.nonceTPM, attributes);
    w.u32(4 + 2 + 32 + 1 + 2 + 32);
    w.u32(session.handle);
    w.u16(32);
    w.bytes(session.nonceCaller);
    w.bytes(attributes);
    w.u16(32);
    w.bytes(hmac);
    w.bytes(parameters);
    w.view.setUint32(2, w.pos);
    const code = await run(w.finish());
    await client.FlushContext({ flushHandle: session.handle });
    return code;
  }

  it('CVE-2023-1017, CVE-2023-1018: encrypted parameters shorter than their size field, or overstated', async () => {
    const client = await TpmClient.of(tpm);
    await client.FlushContext({ flushHandle: candidates[8]! });
    expect(await encrypted(EMPTY)).toBe(atParameter(TPM_RC.INSUFFICIENT, 1));
    expect(await encrypted(Uint8Array.of(0))).toBe(atParameter(TPM_RC.INSUFFICIENT, 1));
    expect(await encrypted(Uint8Array.of(0, 1))).toBe(atParameter(TPM_RC.SIZE, 1));
    expect(await encrypted(Uint8Array.of(0xff, 0xff, 1, 2))).toBe(atParameter(TPM_RC.SIZE, 1));
    expect(await encrypted(Uint8Array.of(0, 2, 1, 2))).toBe(TPM_RC.SUCCESS);
  });

  it('CVE-2025-2884, CVE-2025-49133: a KEYEDHASH key asked to sign by an asymmetric scheme', async () => {
    const client = await TpmClient.of(tpm);
    for (const scheme of [TPM_ALG.RSASSA, TPM_ALG.RSAPSS, TPM_ALG.ECDSA, TPM_ALG.ECSCHNORR] as const) {
      const signing = client.Sign({
        keyHandle: candidates[4]!,
        digest: new Uint8Array(32),
        inScheme: { scheme, details: { hashAlg: TPM_ALG.SHA256 } },
        validation: { tag: TPM_ST.HASHCHECK, hierarchy: TPM_RH.NULL, digest: EMPTY },
      });
      await expect(signing).rejects.toMatchObject({ code: atParameter(TPM_RC.SCHEME, 2) });
    }
  });
});
