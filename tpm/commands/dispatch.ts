/** From command bytes to response bytes. Part 3, section 5. */
import { concat } from '../crypto/bytes.ts';
import {
  atHandle,
  atParameter,
  MAX_COMMAND_SIZE,
  MAX_DIGEST_SIZE,
  Reader,
  TPM_CC,
  TPM_RC,
  TPM_ST,
  TpmError,
  Writer,
} from '../structures/index.ts';
import { checkSessions } from './authorize.ts';
import type { AnyCommand } from './command.ts';
import type { Context } from './context.ts';
import { NOT_IN_READ_ONLY } from './read-only.ts';
import { readSessions } from './session-area.ts';
import { cpHash, decryptParameter, rpHash } from './session-crypto.ts';
import { writeResponseSessions } from './session-response.ts';

const HEADER = 10;
/** Where responses are put together. */
const writer = new Writer(2 * MAX_COMMAND_SIZE);
/** Commands with sessions, while they are executed: a parameter is decrypted in place. */
const commandBytes = new Uint8Array(MAX_COMMAND_SIZE);
/** At most three, with a nonce and an HMAC each. Part 1, section 18.4. */
const RESPONSE_SESSIONS = 3 * (2 + MAX_DIGEST_SIZE + 1 + 2 + MAX_DIGEST_SIZE);

/** A response that carries a code only. */
export function errorResponse(code: number): Uint8Array {
  const response = new Uint8Array(HEADER);
  const view = new DataView(response.buffer);
  // Part 1, section 24.2: a TPM 1.2 client must understand TPM_RC_BAD_TAG.
  view.setUint16(0, code === TPM_RC.BAD_TAG ? TPM_ST.RSP_COMMAND : TPM_ST.NO_SESSIONS);
  view.setUint32(2, HEADER);
  view.setUint32(6, code);
  return response;
}

/** Execute one command. `bytes` is neither changed nor kept. Refusals are responses; only faults of this program throw. */
export function dispatch(context: Context, bytes: Uint8Array): Uint8Array {
  const own = hasSessions(bytes) && bytes.length <= commandBytes.length;
  if (own) commandBytes.set(bytes);
  try {
    return execute(context, own ? commandBytes : bytes, bytes.length);
  } catch (error) {
    if (error instanceof TpmError) return errorResponse(error.code);
    throw error;
  } finally {
    if (own) commandBytes.fill(0, 0, bytes.length); // there may have been secrets
  }
}

/** `bytes` may be changed if they have sessions. */
function execute(context: Context, bytes: Uint8Array, length: number): Uint8Array {
  const r = new Reader(bytes, context.profile.disabledAlgorithms);
  r.end = length;
  if (length < HEADER) throw new TpmError(TPM_RC.COMMAND_SIZE);
  const tag = r.u16();
  if (tag !== TPM_ST.NO_SESSIONS && tag !== TPM_ST.SESSIONS) throw new TpmError(TPM_RC.BAD_TAG);
  if (r.u32() !== length || length > context.profile.maxCommandSize) throw new TpmError(TPM_RC.COMMAND_SIZE);
  const code = r.u32();
  const command = context.commands.get(code);
  if (command === undefined) throw new TpmError(TPM_RC.COMMAND_CODE);
  if (context.state.readOnly && NOT_IN_READ_ONLY.has(code)) throw new TpmError(TPM_RC.READ_ONLY);
  if (!context.started && !command.beforeStartup) throw new TpmError(TPM_RC.INITIALIZE);
  context.command = command;
  context.sessions = [];

  const { args, handles } = readHandles(context, command, r);
  let auditCpHash: (alg: number) => Uint8Array = noAudit;
  if (tag === TPM_ST.SESSIONS) {
    if (!command.sessions) throw new TpmError(TPM_RC.AUTH_CONTEXT);
    context.sessions = readSessions(context, command, handles, r);
    const parameters = bytes.subarray(r.pos, length);
    checkSessions(context, command, handles, parameters);
    auditCpHash = rememberCpHash(context, command, handles, parameters);
    try {
      decryptParameter(context, parameters);
    } catch (error) {
      throw located(error, command, 0);
    }
  } else {
    if (command.authCount > 0) throw new TpmError(TPM_RC.AUTH_MISSING);
    if (context.state.commandAudit.commands.has(code)) {
      auditCpHash = rememberCpHash(context, command, handles, bytes.subarray(r.pos, length));
    }
  }
  readParameters(command, r, args);

  const result = run(context, command, args);
  const response = writeResponse(context, command, tag, result, auditCpHash);
  if (context.state.sessions.exclusive !== undefined) settleExclusive(context);
  return response;
}

/** TPM_ST_SESSIONS */
const hasSessions = (command: Uint8Array): boolean =>
  command[0] === TPM_ST.SESSIONS >>> 8 && command[1] === (TPM_ST.SESSIONS & 0xff);

const noAudit = (): Uint8Array => new Uint8Array(0);

function rememberCpHash(
  context: Context,
  command: AnyCommand,
  handles: readonly number[],
  parameters: Uint8Array,
): (alg: number) => Uint8Array {
  const { commandAudit } = context.state;
  const audited = commandAudit.commands.has(command.code);
  if (context.sessions.length === 0 && !audited) return noAudit;
  const algs = new Set<number>(audited ? [commandAudit.alg] : []);
  for (const { session, attributes } of context.sessions)
    if (session !== undefined && (attributes & 0x80) !== 0) algs.add(session.authHash);
  if (algs.size === 0) return noAudit;
  const hashes = new Map([...algs].map((alg) => [alg, cpHash(context, alg, command.code, handles, parameters)]));
  return (alg) => hashes.get(alg)!; // every algorithm that asks was remembered
}

function readHandles(
  context: Context,
  command: AnyCommand,
  r: Reader,
): { args: Record<string, unknown>; handles: number[] } {
  const args: Record<string, unknown> = {};
  const handles: number[] = [];
  const { handleList } = command;
  for (let i = 0; i < handleList.length; i++) {
    const { kind } = handleList[i]!;
    try {
      const handle = r.u32();
      if (!kind.accepts(handle)) throw new TpmError(TPM_RC.VALUE);
      handles.push(handle);
    } catch (error) {
      throw located(error, command, undefined, i);
    }
  }
  for (let i = 0; i < handleList.length; i++) {
    const { kind, name } = handleList[i]!;
    try {
      args[name] = kind.resolve(context.state, handles[i]!);
    } catch (error) {
      if (error instanceof TpmError && error.code === TPM_RC.REFERENCE_H0) throw new TpmError(TPM_RC.REFERENCE_H0 + i);
      throw located(error, command, undefined, i);
    }
  }
  return { args, handles };
}

function readParameters(command: AnyCommand, r: Reader, args: Record<string, unknown>): void {
  const { paramList } = command;
  for (let i = 0; i < paramList.length; i++) {
    const { name, schema } = paramList[i]!;
    try {
      args[name] = schema.read(r);
    } catch (error) {
      throw located(error, command, i);
    }
  }
  if (r.remaining !== 0) throw new TpmError(TPM_RC.SIZE);
}

/** Add the number of the parameter or handle to a refusal: by position, or by the name that the handler gave. */
function located(error: unknown, command: AnyCommand, parameter?: number, handle?: number): unknown {
  if (!(error instanceof TpmError)) return error;
  if (error.at === undefined) {
    if (parameter !== undefined) return new TpmError(atParameter(error.code, parameter + 1));
    if (handle !== undefined) return new TpmError(atHandle(error.code, handle + 1));
    return error;
  }
  const p = command.paramList.findIndex(({ name }) => name === error.at);
  if (p >= 0) return new TpmError(atParameter(error.code, p + 1));
  const h = command.handleList.findIndex(({ name }) => name === error.at);
  if (h >= 0) return new TpmError(atHandle(error.code, h + 1));
  throw new Error(`${command.name} refuses "${error.at}", which it does not declare`);
}

function run(context: Context, command: AnyCommand, args: Record<string, unknown>): Record<string, unknown> {
  try {
    return command.run(context, args) ?? {};
  } catch (error) {
    throw located(error, command);
  }
}

function writeResponse(
  context: Context,
  command: AnyCommand,
  tag: number,
  result: Record<string, unknown>,
  auditCpHash: (alg: number) => Uint8Array,
): Uint8Array {
  const w = writer;
  w.pos = 0;
  w.u16(tag);
  w.u32(0);
  w.u32(TPM_RC.SUCCESS);
  for (const { name, schema } of command.responseHandleList) schema.write(w, result[name]);
  const { responseList } = command;
  let start = w.pos;
  if (tag === TPM_ST.SESSIONS) {
    w.u32(0);
    start = w.pos;
  }
  for (let i = 0; i < responseList.length; i++) responseList[i]!.schema.write(w, result[responseList[i]!.name]);
  const size = w.pos - start;
  const audited = context.state.commandAudit.commands.has(command.code);
  if (tag === TPM_ST.SESSIONS) {
    w.view.setUint32(start - 4, size);
    w.room(RESPONSE_SESSIONS); // so that the parameters stay where they are: they may be encrypted there
    writeResponseSessions(context, command, w.buffer.subarray(start, w.pos), w, auditCpHash);
  }
  if (audited) auditCommand(context, command, w.buffer.slice(start, start + size), auditCpHash);
  w.view.setUint32(2, w.pos);
  return w.buffer.slice(0, w.pos); // memory of its own: it leaves this TPM
}

/** Part 1, section 31.3: H(digest || cpHash || rpHash) over audited commands. */
function auditCommand(
  context: Context,
  command: AnyCommand,
  parameters: Uint8Array,
  auditCpHash: (alg: number) => Uint8Array,
): void {
  const { commandAudit } = context.state;
  if (command.code === TPM_CC.GetCommandAuditDigest || command.code === TPM_CC.Shutdown) return;
  if (commandAudit.digest.length === 0) {
    commandAudit.counter++;
    context.markDurable('audit');
    commandAudit.digest = new Uint8Array(context.crypto.hash(commandAudit.alg, new Uint8Array(0)).length);
  }
  const cp = auditCpHash(commandAudit.alg);
  // SetCommandCodeAuditStatus may just have changed the algorithm; its own digest then starts with what it has.
  if (cp === undefined) return;
  commandAudit.digest = context.crypto.hash(
    commandAudit.alg,
    concat(commandAudit.digest, cp, rpHash(context, commandAudit.alg, command.code, parameters)),
  );
}

/** A command without the exclusive audit session ends exclusivity. Part 1, section 31.2.3. */
function settleExclusive(context: Context): void {
  const { sessions } = context.state;
  const used = context.sessions.some(
    ({ session, attributes }) => session?.handle === sessions.exclusive && (attributes & 0x80) !== 0,
  );
  if (!used) sessions.exclusive = undefined;
}
