/**
 * A typed client, derived from the declarations of the commands: a method per command, whose argument is the
 * specification's table (handles, then parameters) and whose result is the response.
 *
 *     const client = await TpmClient.of(tpm);
 *     const { objectHandle } = await client.CreatePrimary({ primaryHandle: TPM_RH.OWNER, inSensitive, ... });
 *     const { quoted, signature } = await client.Quote({ signHandle: objectHandle, qualifyingData, ... });
 *
 * Handles that need authorisation get an empty password unless `auth` says otherwise, in order.
 */
import type { AnyCommand, Command } from '../commands/command.ts';
import { allCommands } from '../commands/index.ts';
import { protectSecret } from '../commands/secrets.ts';
import { cryptParameter } from '../commands/session-crypto.ts';
import { u32be } from '../crypto/bytes.ts';
import { defaultCrypto } from '../crypto/default.ts';
import { KDFa } from '../crypto/kdf.ts';
import type { CryptoProvider } from '../crypto/provider.ts';
import type { Locality, TpmDevice, TpmTransport } from '../device.ts';
import {
  DIGEST_SIZE,
  handleName,
  type InferFields,
  nvName,
  objectName,
  Reader,
  rcName,
  TPM_ALG,
  TPM_CC,
  TPM_RC,
  TPM_RH,
  TPM_SE,
  TPM_ST,
  TPMA_SESSION,
  type TPMI_ALG_HASH,
  type TPMT_PUBLIC,
  type TPMT_SYM_DEF,
  Writer,
} from '../structures/index.ts';
import {
  type Authorization,
  type ClientSession,
  checkResponse,
  commandAuthorization,
  nonceSize,
  trim,
} from './sessions.ts';

/** An entity: its handle, and its name where the client should not have to ask the TPM for it. Sessions are entities. */
export type Entity = number | { readonly handle: number; readonly name?: Uint8Array };

/** How one command is authorised and sent. */
export interface CommandOptions {
  /** Authorisations of the handles that need one, in order; an octet string is a password. */
  readonly auth?: Authorization | Uint8Array | readonly (Authorization | Uint8Array)[];
  /** More sessions, for parameter encryption or audit. */
  readonly sessions?: readonly ClientSession[];
  readonly locality?: Locality;
}

type Names = { [K in keyof typeof TPM_CC as (typeof TPM_CC)[K]]: K };
type Declared = (typeof allCommands)[number];
type Call<C> =
  C extends Command<number, infer H, infer P, infer RH, infer R>
    ? (
        args: { readonly [K in keyof H]: Entity } & InferFields<P>,
        options?: CommandOptions,
      ) => Promise<InferFields<RH> & InferFields<R>>
    : never;

/** A method per command of Part 3. */
export type TpmCommands = {
  [C in Declared as Names[C['code']]]: Call<C>;
};

/** The TPM's refusal of a command. `code` is the whole response code; `name` its meaning with the number. */
export class TpmResponseError extends Error {
  override readonly name = 'TpmResponseError';
  readonly code: number;
  readonly command: string;

  constructor(command: string, code: number) {
    super(`TPM2_${command}: ${rcName(code)} (0x${code.toString(16).padStart(3, '0')})`);
    this.code = code;
    this.command = command;
  }
}

/** The response is not what the command's declaration says. */
export class TpmProtocolError extends Error {
  override readonly name = 'TpmProtocolError';
}

const handleOf = (entity: Entity): number => (typeof entity === 'number' ? entity : entity.handle);
const toAuthorization = (auth: Authorization | Uint8Array): Authorization =>
  auth instanceof Uint8Array ? { authValue: auth } : auth;

const byName = new Map<string, AnyCommand>(
  allCommands.map((command) => [command.name, command as unknown as AnyCommand]), // handlers differ in argument types
);

/** Runs commands over a transport. `TpmClient` adds the typed methods. */
export class ClientBase {
  readonly transport: TpmTransport;
  readonly crypto: CryptoProvider;
  readonly #names = new Map<number, Uint8Array>();
  readonly #sessions = new Map<number, ClientSession>();

  constructor(transport: TpmTransport, crypto: CryptoProvider) {
    this.transport = transport;
    this.crypto = crypto;
  }

  /** Run one declared command. Throws `TpmResponseError`, `SessionError`, `TpmTransportError`. */
  async run(
    command: AnyCommand,
    args: Record<string, unknown>,
    options: CommandOptions = {},
  ): Promise<Record<string, unknown>> {
    const entities = command.handleList.map(({ name }) => args[name] as Entity);
    const handles = entities.map(handleOf);
    const authorizations = authorizationsOf(command, options);
    const needsNames = authorizations.some(({ session }) => session !== undefined);
    const names: Uint8Array[] = [];
    if (needsNames) for (const entity of entities) names.push(await this.nameOf(entity));
    const parameters = new Writer();
    for (const { name, schema } of command.paramList) schema.write(parameters, args[name]);
    const bytes = this.#request(command, handles, names, authorizations, parameters.finish());
    const response = await this.transport.send(bytes, options.locality);
    return this.#response(command, names, authorizations, response, args);
  }

  #request(
    command: AnyCommand,
    handles: number[],
    names: Uint8Array[],
    authorizations: Authorization[],
    parameters: Uint8Array,
  ): Uint8Array {
    const { crypto } = this;
    for (const { session } of authorizations)
      if (session !== undefined) session.nonceCaller = crypto.random(nonceSize(session.authHash));
    const decrypt = authorizations.findIndex(({ session }) => wants(session, TPMA_SESSION.decrypt));
    const encrypt = authorizations.findIndex(({ session }) => wants(session, TPMA_SESSION.encrypt));
    const crypting = authorizations[decrypt];
    if (crypting?.session !== undefined) {
      const data = firstParameter(parameters);
      const { session } = crypting;
      const key = parameterKey(crypting, decrypt < command.authCount);
      data.set(cryptParameter(this, session, true, key, session.nonceCaller, session.nonceTPM, data));
    }
    const w = new Writer();
    w.u16(authorizations.length > 0 ? TPM_ST.SESSIONS : TPM_ST.NO_SESSIONS);
    w.u32(0);
    w.u32(command.code);
    for (const handle of handles) w.u32(handle);
    if (authorizations.length > 0) {
      const cpHash = (alg: number): Uint8Array => crypto.hash(alg, u32be(command.code), ...names, parameters);
      const at = w.reserve(4);
      authorizations.forEach((authorization, i) => {
        const extra: Uint8Array[] = [];
        if (i === 0) {
          if (decrypt > 0) extra.push(authorizations[decrypt]!.session!.nonceTPM);
          if (encrypt > 0 && encrypt !== decrypt) extra.push(authorizations[encrypt]!.session!.nonceTPM);
        }
        const name = i < command.authCount ? (names[i] ?? new Uint8Array(0)) : undefined;
        w.bytes(commandAuthorization(crypto, authorization, cpHash, name, extra));
      });
      w.view.setUint32(at, w.pos - at - 4);
    }
    w.bytes(parameters);
    w.view.setUint32(2, w.pos);
    return w.finish();
  }

  #response(
    command: AnyCommand,
    names: Uint8Array[],
    authorizations: Authorization[],
    bytes: Uint8Array,
    args: Record<string, unknown>,
  ): Record<string, unknown> {
    const r = new Reader(bytes.slice());
    if (bytes.length < 10) throw new TpmProtocolError(`TPM2_${command.name}: the response is shorter than a header.`);
    const tag = r.u16();
    const size = r.u32();
    const code = r.u32();
    if (size !== bytes.length) throw new TpmProtocolError(`TPM2_${command.name}: the response's size is wrong.`);
    if (code !== TPM_RC.SUCCESS) throw new TpmResponseError(command.name, code);
    const result: Record<string, unknown> = {};
    for (const { name, schema } of command.responseHandleList) result[name] = schema.read(r);
    if (tag === TPM_ST.SESSIONS) {
      const parameterSize = r.u32();
      const start = r.advance(parameterSize);
      const parameters = r.buffer.subarray(start, start + parameterSize);
      this.#checkSessions(command, names, authorizations, parameters, r, args);
      r.pos = start;
      r.end = start + parameterSize;
    }
    for (const { name, schema } of command.responseList) result[name] = schema.read(r);
    if (r.remaining !== 0) throw new TpmProtocolError(`TPM2_${command.name}: the response has octets left over.`);
    this.#learn(command, args, result);
    return result;
  }

  #checkSessions(
    command: AnyCommand,
    names: Uint8Array[],
    authorizations: Authorization[],
    parameters: Uint8Array,
    r: Reader,
    args: Record<string, unknown>,
  ): void {
    const { crypto } = this;
    const rpHash = (alg: number): Uint8Array =>
      crypto.hash(alg, u32be(TPM_RC.SUCCESS), u32be(command.code), parameters);
    authorizations.forEach((authorization, i) => {
      const nonce = r.bytes(r.u16());
      const attributes = r.u8();
      const hmac = r.bytes(r.u16());
      const { session } = authorization;
      if (session !== undefined) session.nonceTPM = nonce.slice();
      const name = i < command.authCount ? names[i] : undefined;
      checkResponse(crypto, afterwards(command, authorization, i, args), rpHash, name, { attributes, hmac });
    });
    const encrypt = authorizations.findIndex(({ session }) => wants(session, TPMA_SESSION.encrypt));
    const crypting = authorizations[encrypt];
    if (crypting?.session !== undefined) {
      const data = firstParameter(parameters);
      const { session } = crypting;
      const key = parameterKey(crypting, encrypt < command.authCount);
      data.set(cryptParameter(this, session, false, key, session.nonceTPM, session.nonceCaller, data));
    }
    for (const { session } of authorizations) {
      if (session?.type === 'policy') session.policyAuth = 'none';
      if (session !== undefined && wants(session, TPMA_SESSION.audit)) session.boundName = undefined;
    }
  }

  #learn(command: AnyCommand, args: Record<string, unknown>, result: Record<string, unknown>): void {
    const { objectHandle, name, loadedHandle } = result;
    if (typeof objectHandle === 'number' && name instanceof Uint8Array) this.#names.set(objectHandle, name);
    if (typeof loadedHandle === 'number') this.#names.delete(loadedHandle);
    const session = this.#sessions.get(handleOf((args.policySession ?? 0) as Entity));
    if (session !== undefined && command.code === TPM_CC.PolicyAuthValue) session.policyAuth = 'hmac';
    if (session !== undefined && command.code === TPM_CC.PolicyPassword) session.policyAuth = 'password';
    if (command.code === TPM_CC.FlushContext) this.#sessions.delete(args.flushHandle as number);
    if (command.code === TPM_CC.FlushContext) this.#names.delete(args.flushHandle as number);
    if (command.code === TPM_CC.EvictControl) this.#names.delete(args.persistentHandle as number);
  }

  /** The name of an entity: as given, as learnt at creation, or asked of the TPM. */
  async nameOf(entity: Entity): Promise<Uint8Array> {
    if (typeof entity !== 'number') return entity.name ?? this.nameOf(entity.handle);
    const kind = entity >>> 24;
    if (kind === 0x80 || kind === 0x81) {
      const known = this.#names.get(entity);
      if (known !== undefined) return known;
      const { outPublic } = await this.#call('ReadPublic', { objectHandle: entity });
      const name = objectName(outPublic as TPMT_PUBLIC);
      this.#names.set(entity, name);
      return name;
    }
    if (kind === 0x01) {
      const { nvPublic } = await this.#call('NV_ReadPublic', { nvIndex: entity });
      return nvName(nvPublic as Parameters<typeof nvName>[0]);
    }
    return handleName(entity);
  }

  async #call(name: string, args: Record<string, unknown>): Promise<Record<string, unknown>> {
    const command = byName.get(name);
    if (command === undefined) throw new TpmProtocolError(`TPM2_${name} is not declared.`);
    return this.run(command, args);
  }

  /**
   * Start a session. `salt` is a loaded decryption key: its public area protects the session key. `bind` is an entity
   * with its authorisation value. `encrypt` and `decrypt` ask for protection of first parameters.
   */
  async startSession(
    options: {
      readonly type?: 'hmac' | 'policy' | 'trial';
      readonly authHash?: TPMI_ALG_HASH;
      readonly salt?: { readonly handle: number; readonly publicArea: TPMT_PUBLIC };
      readonly bind?: { readonly entity: Entity; readonly authValue: Uint8Array };
      readonly symmetric?: TPMT_SYM_DEF;
      readonly encrypt?: boolean;
      readonly decrypt?: boolean;
      readonly audit?: boolean;
    } = {},
  ): Promise<ClientSession> {
    const { type = 'hmac', authHash = TPM_ALG.SHA256, salt, bind } = options;
    const symmetric = options.symmetric ?? { algorithm: TPM_ALG.AES, keyBits: 128, mode: TPM_ALG.CFB };
    const nonceCaller = this.crypto.random(nonceSize(authHash));
    const secret = salt === undefined ? undefined : protectSecret(this.crypto, salt.publicArea, 'SECRET');
    const bindName = bind === undefined ? undefined : await this.nameOf(bind.entity);
    const { sessionHandle, nonceTPM } = (await this.#call('StartAuthSession', {
      tpmKey: salt?.handle ?? TPM_RH.NULL,
      bind: bind === undefined ? TPM_RH.NULL : handleOf(bind.entity),
      nonceCaller,
      encryptedSalt: secret?.encrypted ?? new Uint8Array(0),
      sessionType: { hmac: TPM_SE.HMAC, policy: TPM_SE.POLICY, trial: TPM_SE.TRIAL }[type],
      symmetric,
      authHash,
    })) as { sessionHandle: number; nonceTPM: Uint8Array };
    const authValue = bind === undefined ? new Uint8Array(0) : trim(bind.authValue);
    const seed = new Uint8Array([...authValue, ...(secret?.seed ?? [])]);
    const sessionKey =
      salt === undefined && bind === undefined
        ? new Uint8Array(0)
        : KDFa(this.crypto, authHash, seed, 'ATH', nonceTPM, nonceCaller, DIGEST_SIZE[authHash]! * 8);
    let attributes: number = TPMA_SESSION.continueSession;
    if (options.encrypt) attributes |= TPMA_SESSION.encrypt;
    if (options.decrypt) attributes |= TPMA_SESSION.decrypt;
    if (options.audit) attributes |= TPMA_SESSION.audit;
    const session: ClientSession = {
      handle: sessionHandle,
      type,
      authHash,
      symmetric,
      sessionKey,
      nonceTPM: nonceTPM.slice(),
      nonceCaller,
      boundName: bindName,
      attributes,
      policyAuth: 'none',
    };
    this.#sessions.set(sessionHandle, session);
    return session;
  }
}

const wants = (session: ClientSession | undefined, bit: number): boolean =>
  session !== undefined && (session.attributes & bit) !== 0;

function firstParameter(parameters: Uint8Array): Uint8Array {
  return parameters.subarray(2, 2 + ((parameters[0]! << 8) | parameters[1]!));
}

const parameterKey = ({ session, authValue }: Authorization, authorizes: boolean): Uint8Array =>
  authorizes ? new Uint8Array([...session!.sessionKey, ...trim(authValue ?? new Uint8Array(0))]) : session!.sessionKey; // callers have checked the session

function authorizationsOf(command: AnyCommand, { auth, sessions = [] }: CommandOptions): Authorization[] {
  const given = auth === undefined ? [] : Array.isArray(auth) ? auth : [auth as Authorization | Uint8Array];
  const list: Authorization[] = given.map(toAuthorization);
  while (list.length < command.authCount) list.push({});
  for (const session of sessions) list.push({ session });
  return list;
}

/** A command that changes the authorisation value of its own handle answers under the new one. */
function afterwards(
  command: AnyCommand,
  authorization: Authorization,
  index: number,
  args: Record<string, unknown>,
): Authorization {
  if (index > 0) return authorization;
  if (command.code === TPM_CC.Clear) return { ...authorization, authValue: new Uint8Array(0) };
  if (command.code !== TPM_CC.HierarchyChangeAuth && command.code !== TPM_CC.NV_ChangeAuth) return authorization;
  return { ...authorization, authValue: args.newAuth as Uint8Array };
}

/** A client with a method per command. */
export type TpmClient = ClientBase & TpmCommands;

/** Makers of clients. */
export const TpmClient = {
  /** A client of a TPM in this process. Waits for nothing but the TPM itself. */
  async of(device: TpmDevice): Promise<TpmClient> {
    return TpmClient.over({
      send: (command, locality) => device.execute(command, locality),
      close: async () => {},
    });
  },
  /** A client over any transport. `crypto` protects sessions; the default suits where this runs. */
  async over(transport: TpmTransport, crypto?: CryptoProvider): Promise<TpmClient> {
    return createClient(transport, crypto ?? (await defaultCrypto()));
  },
};

function createClient(transport: TpmTransport, crypto: CryptoProvider): TpmClient {
  const client = new ClientBase(transport, crypto);
  const methods = Object.fromEntries(
    [...byName].map(([name, command]) => [
      name,
      (args: Record<string, unknown> = {}, options?: CommandOptions) => client.run(command, args, options),
    ]),
  );
  return Object.assign(client, methods) as unknown as TpmClient; // exactly one method per declared command
}
