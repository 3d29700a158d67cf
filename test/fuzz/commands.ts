/** Commands made from their declarations and from what the model knows, with sessions that are right, or nearly so. */
import { createHash, createHmac } from 'node:crypto';
import type { AnyCommand } from '../../tpm/commands/command.ts';
import type { Random } from '../support/random.ts';
import {
  ALG,
  EMPTY,
  EMPTY_PASSWORD,
  join,
  NO_SCHEME,
  scheme,
  sized,
  template,
  u8,
  u16,
  u32,
} from '../support/tpm-wire.ts';
import { generate, type Mischief } from './generate.ts';
import { type Model, NV_INDICES, PERSISTENT } from './model.ts';

const MISCHIEF: Mischief = { oneIn: 60 };
/** RSA keys take hundreds of milliseconds: rarely. */
const RSA_ONE_IN = 150;

type Field = (random: Random, model: Model) => Uint8Array;

/** Parameters whose random bytes would seldom get past the first check, by name. */
const FIELDS: Readonly<Record<string, Field>> = {
  inPublic: publicTemplate,
  inSensitive: (random) => sized(EMPTY, random.oneIn(3) ? sized(random.bytes(random.below(40))) : EMPTY),
  creationPCR: (random) => (random.oneIn(4) ? join(u32(1), u16(ALG.SHA256), u8(3), random.bytes(3)) : u32(0)),
  outsideInfo: (random) => sized(random.bytes(random.below(20))),
  newAuth: (random) => (random.oneIn(20) ? sized(random.bytes(8)) : EMPTY),
  auth: (random) => (random.oneIn(10) ? sized(random.bytes(8)) : EMPTY),
  flushHandle: (random, model) => u32(model.loaded(random)),
  persistentHandle: (random) => u32(random.pick(PERSISTENT)),
  publicInfo: (random) =>
    sized(u32(random.pick(NV_INDICES)), u16(ALG.SHA256), u32(nvAttributes(random)), EMPTY, u16(random.pick(NV_SIZES))),
  inScheme: (random) => random.pick([NO_SCHEME, scheme(ALG.ECDSA), scheme(ALG.RSASSA), scheme(ALG.HMAC)]),
  digest: (random) => sized(random.bytes(random.pick([20, 32, 48]))),
  context: (random, model) => (model.contexts.length > 0 ? random.pick(model.contexts) : random.bytes(40)),
  encryptedSalt: (random) => (random.oneIn(4) ? sized(random.bytes(64)) : EMPTY),
  nonceCaller: (random) => sized(random.bytes(random.pick([16, 20, 32]))),
  symmetric: (random) => random.pick([u16(ALG.NULL), u16(ALG.NULL), join(u16(ALG.AES), u16(128), u16(ALG.CFB))]),
  authHash: () => u16(ALG.SHA256),
  capability: (random) => u32(random.below(12)),
  offset: (random) => u16(random.pick([0, 0, 0, 1, 8, 31, 65535])),
  code: (random) => u32(random.pick([0x137, 0x15e, 0x15d, 0x14b])),
  data: (random) => sized(random.bytes(random.pick([0, 1, 8, 8, 20]))),
  size: (random) => u16(random.pick([0, 1, 8, 16, 32, 1024, 65535])),
};

/** TPMA_SESSION.encrypt. */
const ENCRYPT = 0x40;

/** Handles that are mostly TPM_RH_NULL. */
const USUALLY_NULL = new Set(['tpmKey', 'bind', 'newParentHandle']);
const RH_NULL = 0x40000007;

const NV_SIZES = [0, 8, 8, 32, 64, 2048];

/** Owner or platform may do everything; one of the kinds of index; sometimes anything. */
function nvAttributes(random: Random): number {
  if (random.oneIn(12)) return random.u32();
  const kind = random.pick([0, 0, 1, 2, 4, 8, 9]) << 4;
  const locks = random.pick([0, 0, 0x2000, 0x4000, 0x8000, 0x80000000, 0x1000]);
  return (0x02070007 | kind | locks | (random.oneIn(3) ? 0x40000000 : 0)) >>> 0;
}

const TEMPLATES = [
  template.eccStorage,
  template.eccStorage,
  template.eccSign,
  template.eccAttest,
  template.eccDh,
  template.hmac,
  template.aes,
  template.sealedByPassword,
];

function publicTemplate(random: Random): Uint8Array {
  if (random.oneIn(RSA_ONE_IN)) return random.pick([template.rsaStorage, template.rsaSign, template.rsaDecrypt])();
  return random.oneIn(6)
    ? template.sealed(random.oneIn(2) ? new Uint8Array(0) : random.bytes(32))
    : random.pick(TEMPLATES)();
}

/** A command ready to send, with what must be known to learn from its response. */
export interface Made {
  readonly bytes: Uint8Array;
  readonly command: AnyCommand;
  readonly handles: readonly number[];
  readonly parameters: readonly Uint8Array[];
  /** The HMAC or policy session that authorises it, if one does. */
  readonly session: number | undefined;
  /** The first parameter of the response may be encrypted. */
  readonly encrypted: boolean;
}

/** Make a command. `nameOf` gives an entity's name. */
export function makeCommand(command: AnyCommand, random: Random, model: Model): Made {
  const handles = command.handleList.map(({ name, kind }) =>
    USUALLY_NULL.has(name) && !random.oneIn(4) ? RH_NULL : model.handle((handle) => kind.accepts(handle), random),
  );
  const parameters = parametersOf(command, random, model);
  const { area, session, encrypted } = authorization(command, handles, parameters, random, model);
  const tag = u16(area.length > 0 ? 0x8002 : 0x8001);
  const rest = join(...handles.map(u32), area, ...parameters);
  return {
    bytes: join(tag, u32(10 + rest.length), u32(command.code), rest),
    command,
    handles,
    parameters,
    session,
    encrypted,
  };
}

function parametersOf(command: AnyCommand, random: Random, model: Model): Uint8Array[] {
  // A blob loads under the parent that made it, with its own public area.
  const blob = model.blobs.length > 0 ? random.pick(model.blobs) : undefined;
  return command.paramList.map(({ name, schema }) => {
    if (blob && command.name === 'Load' && name === 'inPrivate') return blob.inPrivate;
    if (blob && command.name === 'Load' && name === 'inPublic') return blob.inPublic;
    // Mostly off: while it is on, a third of all commands are refused at once.
    if (command.name === 'ReadOnlyControl') return u8(random.oneIn(20) ? 1 : 0);
    const field = FIELDS[name];
    return field && !random.oneIn(12) ? field(random, model) : generate(schema, random, MISCHIEF);
  });
}

function authorization(
  command: AnyCommand,
  handles: readonly number[],
  parameters: readonly Uint8Array[],
  random: Random,
  model: Model,
): { area: Uint8Array; session: number | undefined; encrypted: boolean } {
  const count = random.oneIn(30) ? random.below(4) : command.authCount + (random.oneIn(15) ? 1 : 0);
  let used: number | undefined;
  let encrypted = false;
  const sessions: Uint8Array[] = [];
  for (let i = 0; i < count; i++) {
    const known = [...model.sessions.values()].filter(({ handle }) => handle !== used);
    if (known.length === 0 || !random.oneIn(4)) {
      sessions.push(random.oneIn(30) ? randomSession(random, model) : EMPTY_PASSWORD);
      continue;
    }
    const session = random.pick(known);
    const nonceCaller = random.bytes(random.pick([16, 16, 32]));
    const attributes = random.oneIn(3) ? random.pick([0, 0x01, 0x21, 0x41, 0x61, 0x81, 0x83, 0x85]) : 1;
    encrypted ||= (attributes & ENCRYPT) !== 0;
    const hmac = session.policy
      ? new Uint8Array(0)
      : commandHmac(command, handles, parameters, model, session.nonceTpm, nonceCaller, attributes);
    sessions.push(join(u32(session.handle), sized(nonceCaller), u8(attributes), sized(hmac)));
    used ??= session.handle;
  }
  if (sessions.length === 0) return { area: new Uint8Array(0), session: undefined, encrypted };
  const area = join(...sessions);
  return { area: join(u32(random.oneIn(200) ? random.u32() : area.length), area), session: used, encrypted };
}

/** HMAC over cpHash with an empty key: right for entities whose authorisation value is empty. */
function commandHmac(
  command: AnyCommand,
  handles: readonly number[],
  parameters: readonly Uint8Array[],
  model: Model,
  nonceTpm: Uint8Array,
  nonceCaller: Uint8Array,
  attributes: number,
): Uint8Array {
  const cpHash = createHash('sha256').update(u32(command.code));
  for (const handle of handles) cpHash.update(model.names.get(handle) ?? u32(handle));
  for (const parameter of parameters) cpHash.update(parameter);
  const hmac = createHmac('sha256', new Uint8Array(0)).update(cpHash.digest());
  return hmac.update(nonceCaller).update(nonceTpm).update(u8(attributes)).digest();
}

function randomSession(random: Random, model: Model): Uint8Array {
  return join(
    u32(model.handle((handle) => handle >>> 24 === 2 || handle >>> 24 === 3, random)),
    sized(random.bytes(random.below(40))),
    u8(random.u32()),
    sized(random.bytes(random.below(40))),
  );
}

/** Spoil bytes: flip, cut, grow, splice, or lie about the size. */
export function mutate(bytes: Uint8Array, other: Uint8Array, random: Random): Uint8Array {
  const spoilt = bytes.slice();
  switch (random.below(6)) {
    case 0:
      for (let i = 0; i <= random.below(4); i++) spoilt[random.below(spoilt.length)] = random.u32();
      return spoilt;
    case 1:
      return resized(spoilt.subarray(0, random.below(spoilt.length + 1)), random);
    case 2:
      return resized(join(spoilt, random.bytes(random.below(64))), random);
    case 3: {
      const at = random.below(spoilt.length);
      return resized(join(spoilt.subarray(0, at), other.subarray(random.below(other.length))), random);
    }
    case 4: {
      // A 16- or 32-bit field: a size, a count, a handle, an algorithm.
      const at = random.below(Math.max(1, spoilt.length - 4));
      spoilt.set(random.oneIn(2) ? u16(random.pick([0, 1, 2, 0x7fff, 0xffff])) : u32(random.u32()), at);
      return spoilt.subarray(0, bytes.length);
    }
    default:
      spoilt.set(u32(random.oneIn(2) ? spoilt.length + random.below(9) - 4 : random.u32()), 2);
      return spoilt;
  }
}

/** Mostly with a header that tells the truth about the new length. */
function resized(bytes: Uint8Array, random: Random): Uint8Array {
  const out = bytes.slice();
  if (out.length >= 6 && !random.oneIn(4)) out.set(u32(out.length), 2);
  return out;
}
