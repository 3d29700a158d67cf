/** The fuzzer's loop over one TPM in memory, and what must hold for every command. */
import { TpmClient, TpmResponseError } from '../../tpm/client/index.ts';
import type { AnyCommand } from '../../tpm/commands/command.ts';
import { defaultCrypto } from '../../tpm/crypto/default.ts';
import type { CryptoProvider } from '../../tpm/crypto/provider.ts';
import { Reader, rcName } from '../../tpm/structures/index.ts';
import type { Tpm } from '../../tpm/tpm.ts';
import { Random } from '../support/random.ts';
import { join } from '../support/tpm-wire.ts';
import { type Made, makeCommand, mutate } from './commands.ts';
import { Model } from './model.ts';
import { play } from './stories.ts';

/** What the fuzzer drives. */
export interface Subject {
  execute(command: Uint8Array): Promise<Uint8Array>;
  /** All of the TPM's state; equal bytes for equal state. */
  snapshot(): Uint8Array;
  /** Cut the power and bring it back: no TPM2_Startup yet. */
  restart(): void;
  setPhysicalPresence(on: boolean): void;
  close(): Promise<void>;
}

export interface FuzzOptions {
  readonly seed: number;
  /** Stop after so many commands, or when `until()` says so. */
  readonly commands: number;
  readonly until?: () => boolean;
  /** Commands that one TPM lives for. */
  readonly lifetime?: number;
  /** The state is compared around one failed command in so many. */
  readonly compareOneIn?: number;
  /** No command may take longer, ms. RSA key generation is given ten times as much. */
  readonly limitMs?: number;
}

export interface FuzzResult {
  commands: number;
  succeeded: number;
  /** Commands that succeeded at least once, by name. */
  readonly reached: Map<string, number>;
  slowestMs: number;
  comparisons: number;
}

/** A rule was broken: the seed, the number of the command and its bytes reproduce it. */
export class FuzzFinding extends Error {
  constructor(what: string, seed: number, index: number, name: string, bytes: Uint8Array) {
    super(`${what}: ${name}, seed ${seed}, command ${index}: ${Buffer.from(bytes).toString('hex')}`);
    this.name = 'FuzzFinding';
  }
}

/** TPM_RC_AUTH_FAIL, TPM_RC_BAD_AUTH, TPM_RC_LOCKOUT, TPM_RC_NV_UNINITIALIZED...: these count failures by design. */
const MAY_CHANGE_STATE = new Set([0x08e, 0x0a2, 0x921]);

/** One story in so many commands that are made at random. */
const STORY_ONE_IN = 100;

/** Run until the number of commands is reached. Throws `FuzzFinding`. */
export async function fuzz(
  create: (seed: number) => Promise<Subject>,
  commands: readonly AnyCommand[],
  options: FuzzOptions,
): Promise<FuzzResult> {
  const random = new Random(options.seed);
  const lifetime = options.lifetime ?? 4000;
  const limit = options.limitMs ?? 1000;
  const byCode = new Map(commands.map((command) => [command.code, command]));
  const result: FuzzResult = { commands: 0, succeeded: 0, reached: new Map(), slowestMs: 0, comparisons: 0 };
  let subject = await create(options.seed);
  let model = new Model();
  let previous: Uint8Array = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 1, 0x7b, 0, 8);
  let found: FuzzFinding | undefined;
  let storySpoilt = false;
  let nextLife = lifetime;

  /** Send one command, spoilt or not, and hold the TPM to its rules. */
  async function send({ name }: AnyCommand, right: Uint8Array, spoilOneIn: number): Promise<Answer> {
    const spoilt = random.oneIn(spoilOneIn);
    storySpoilt ||= spoilt;
    const bytes = spoilt ? mutate(right, previous, random) : right;
    previous = right;
    const finding = (what: string) => {
      found = new FuzzFinding(what, options.seed, result.commands, name, bytes);
      return found;
    };
    const compared = random.oneIn(options.compareOneIn ?? 8);
    const before = compared ? subject.snapshot() : undefined;
    const start = performance.now();
    const response = await subject.execute(bytes).catch((error: Error) => {
      throw finding(`execute rejected (${error.message})`);
    });
    const took = performance.now() - start;
    result.commands += 1;
    result.slowestMs = Math.max(result.slowestMs, took);
    if (took > limit * (mayMakeRsaKey(name) ? 10 : 1)) throw finding(`took ${took.toFixed(0)} ms`);

    const code = checkResponse(response, finding);
    if (code === 0) {
      result.succeeded += 1;
      if (!spoilt) result.reached.set(name, (result.reached.get(name) ?? 0) + 1);
    } else if (before && !MAY_CHANGE_STATE.has(code & 0x80 ? code & 0x0bf : code)) {
      result.comparisons += 1;
      if (Buffer.compare(before, subject.snapshot()) !== 0) throw finding(`state changed, yet ${rcName(code)}`);
    }
    return { response, code, spoilt, finding };
  }

  const client = await storyteller(random, async (bytes) => {
    const command = byCode.get(new DataView(bytes.buffer, bytes.byteOffset).getUint32(6));
    if (!command) throw new Error('a story sends what is not declared');
    return (await send(command, bytes, 12)).response;
  });

  while (result.commands < options.commands && !options.until?.()) {
    if (result.commands >= nextLife) {
      nextLife = result.commands + lifetime;
      await subject.close();
      subject = await create(options.seed + result.commands);
      model = new Model();
    }
    if (random.oneIn(STORY_ONE_IN)) {
      // A story ends where the TPM refuses; a finding inside it is one all the same.
      storySpoilt = false;
      await play({
        client,
        random,
        restart: () => subject.restart(),
        setPhysicalPresence: (on) => subject.setPhysicalPresence(on),
      }).catch((error: unknown) => {
        if (found) throw found;
        if (error instanceof TpmResponseError || storySpoilt) return;
        const why = error instanceof Error ? error.message : String(error);
        throw new FuzzFinding(`a story ends wrongly (${why})`, options.seed, result.commands, 'story', previous);
      });
      model.forgetLoaded();
      continue;
    }
    const made = makeCommand(random.pick(commands), random, model);
    const { response, code, spoilt, finding } = await send(made.command, made.bytes, 5);
    // What a spoilt command did is unknown: what the model believes may be stale, which is part of the game.
    if (code === 0 && !spoilt) learn(model, made, response, finding);
  }
  await subject.close();
  return result;
}

interface Answer {
  readonly response: Uint8Array;
  readonly code: number;
  readonly spoilt: boolean;
  readonly finding: (what: string) => FuzzFinding;
}

/** A typed client whose nonces follow from the seed. */
async function storyteller(random: Random, send: (bytes: Uint8Array) => Promise<Uint8Array>): Promise<TpmClient> {
  const provider = await defaultCrypto();
  const crypto = new Proxy<CryptoProvider>(provider, {
    get(_, name: keyof CryptoProvider) {
      if (name === 'random') return (size: number) => random.bytes(size);
      const member = provider[name];
      return typeof member === 'function' ? member.bind(provider) : member;
    },
  });
  return TpmClient.over({ send, close: async () => {} }, crypto);
}

function mayMakeRsaKey(name: string): boolean {
  return name.startsWith('Create') || name === 'Startup';
}

/** Tag, size and code of a response; the code. */
function checkResponse(response: Uint8Array, finding: (what: string) => FuzzFinding): number {
  if (response.length < 10) throw finding('response shorter than its header');
  const view = new DataView(response.buffer, response.byteOffset, response.length);
  const tag = view.getUint16(0);
  const code = view.getUint32(6);
  if (view.getUint32(2) !== response.length) throw finding('response size is not its length');
  if (code !== 0 && response.length !== 10) throw finding('a failure with a body');
  // TPM_ST_RSP_COMMAND goes with TPM_RC_BAD_TAG alone.
  if (tag !== 0x8001 && tag !== 0x8002 && !(tag === 0x00c4 && code === 0x01e)) throw finding('response tag');
  if (code !== 0 && tag === 0x8002) throw finding('a failure with sessions');
  return code;
}

/** Decode a response by its declaration, which must fit exactly, and remember what it tells. */
function learn(model: Model, made: Made, response: Uint8Array, finding: (what: string) => FuzzFinding): void {
  const { command, handles, parameters } = made;
  const reader = new Reader(response);
  reader.pos = 10;
  let handle: number | undefined;
  const values = new Map<string, unknown>();
  const raw = new Map<string, Uint8Array>();
  try {
    for (const { schema } of command.responseHandleList) handle = schema.read(reader) as number; // handles are numbers
    const sessions = response[1] === 2;
    const size = sessions ? reader.u32() : reader.remaining;
    const end = reader.pos + size;
    if (made.session !== undefined && sessions) rollNonce(model, made.session, response.subarray(end));
    if (made.encrypted) return; // Ciphertext tells nothing.
    for (const { name, schema } of command.responseList) {
      const from = reader.pos;
      values.set(name, schema.read(reader));
      raw.set(name, response.slice(from, reader.pos));
    }
    if (reader.pos !== end) throw new Error(`${end - reader.pos} bytes left`);
  } catch (error) {
    throw finding(`response does not fit its declaration (${error instanceof Error ? error.message : error})`);
  }
  remember(model, command, handles, parameters, handle, values, raw);
}

function rollNonce(model: Model, handle: number, area: Uint8Array): void {
  const session = model.sessions.get(handle);
  if (!session || area.length < 3) return;
  const size = ((area[0] ?? 0) << 8) | (area[1] ?? 0);
  // The first session of the area is the one that is known.
  session.nonceTpm = area.slice(2, 2 + size);
  if (((area[2 + size] ?? 0) & 1) === 0) model.forget(handle);
}

function remember(
  model: Model,
  command: AnyCommand,
  handles: readonly number[],
  parameters: readonly Uint8Array[],
  handle: number | undefined,
  values: ReadonlyMap<string, unknown>,
  raw: ReadonlyMap<string, Uint8Array>,
): void {
  if (handle !== undefined) {
    const type = handle >>> 24;
    const nonceTpm = values.get('nonceTPM');
    if (type === 2 || type === 3) {
      if (nonceTpm instanceof Uint8Array) {
        model.sessions.set(handle, { handle, policy: type === 3, nonceTpm: nonceTpm.slice() });
      }
    } else {
      const name = values.get('name');
      model.names.set(handle, name instanceof Uint8Array ? name.slice() : new Uint8Array(0));
    }
  }
  const first = handles[0] ?? 0;
  const inPrivate = raw.get('outPrivate');
  const inPublic = raw.get('outPublic');
  if (command.name === 'Create' && inPrivate && inPublic) {
    model.keep(model.blobs, { inPrivate, inPublic, parent: first });
  }
  const context = raw.get('context');
  if (context) model.keep(model.contexts, context);
  if (command.name === 'NV_DefineSpace') {
    // The name is learnt when NV_ReadPublic tells it; a password needs none.
    const index = parameters[1];
    if (index && index.length >= 6) model.names.set(new DataView(index.buffer, index.byteOffset).getUint32(2), NO_NAME);
  }
  const nvName = values.get('nvName');
  if (nvName instanceof Uint8Array) model.names.set(first, nvName.slice());
  if (command.name === 'FlushContext') {
    const [flushed] = parameters;
    if (flushed) model.forget(new DataView(flushed.buffer, flushed.byteOffset).getUint32(0));
  }
}

const NO_NAME = new Uint8Array(0);
const STARTUP_CLEAR = Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, 0);

/** Subjects for `fuzz`: a TPM in memory with fixed time and entropy, started up. A fault inside it is a rejection. */
export function memoryTpm(tpmClass: typeof Tpm): (seed: number) => Promise<Subject> {
  return async (seed) => {
    const random = new Random(seed);
    const faults: unknown[] = [];
    const tpm = await tpmClass.create({
      clock: () => 1000,
      entropy: (size) => random.bytes(size),
      onFault: (fault) => faults.push(fault),
    });
    tpm.powerOn();
    await tpm.execute(STARTUP_CLEAR);
    return {
      async execute(command) {
        const response = await tpm.execute(command);
        const [fault] = faults.splice(0);
        if (fault !== undefined) throw new Error(`fault: ${fault instanceof Error ? fault.stack : String(fault)}`);
        return response;
      },
      restart: () => tpm.powerOn(),
      setPhysicalPresence: (on) => tpm.setPhysicalPresence(on),
      snapshot: () => join(tpm.exportPermanent(), tpm.exportVolatile()),
      close: () => tpm.close(),
    };
  };
}

/** The declared commands without the types of their handlers, which differ. */
export const declared = (commands: readonly unknown[]): readonly AnyCommand[] => commands as readonly AnyCommand[];
