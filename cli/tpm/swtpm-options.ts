/**
 * swtpm's command line, in the terms of `nexus tpm serve`. What would change who may do what (another owner of a socket,
 * a descriptor passed in, a state that others can read) is refused rather than ignored; see docs/tpm.md.
 */
import type { Inherited, Place } from '../../tpm/index.ts';
import { UsageError } from '../errors.ts';
import type { ServeFlags, Wanted } from './serve.ts';

/** What swtpm was asked to do. */
export type SwtpmRequest =
  | { readonly kind: 'serve'; readonly flags: ServeFlags }
  | { readonly kind: 'capabilities' }
  /** Whether there is a state in this directory. */
  | { readonly kind: 'states'; readonly state: string }
  | { readonly kind: 'version' }
  | { readonly kind: 'help' };

/** Folder of the state inside `--tpmstate dir=`: beside swtpm's own files, and of mode 0700 whatever the outer one is. */
export const STATE_FOLDER = 'nexus';

/** Options without a value; each other one has one, after a space or `=`. */
const SWITCHES = new Set(['--tpm2', '--terminate', '--daemon', '--print-capabilities', '--print-states']);
const SHORT: Readonly<Record<string, string>> = { '-p': '--port', '-t': '--terminate', '-d': '--daemon' };

/** Translate the words after `swtpm`. `environment` is looked up for TPM_PATH. Throws `UsageError`. */
export function swtpmRequest(words: readonly string[], environment: Environment = {}): SwtpmRequest {
  const [interfaceName, ...rest] = words;
  if (interfaceName === '--version' || interfaceName === '-v') return { kind: 'version' };
  if (interfaceName === undefined || isHelp(interfaceName)) return { kind: 'help' };
  if (interfaceName !== 'socket') {
    throw refusal(`the interface ${interfaceName} is not emulated`, 'use swtpm’s socket interface');
  }
  const options = split(rest);
  if (options.some(({ name }) => isHelp(name))) return { kind: 'help' };
  if (options.some(({ name }) => name === '--print-capabilities')) return { kind: 'capabilities' };
  const draft = new Draft();
  const printStates = options.some(({ name }) => name === '--print-states');
  for (const { name, value } of options) draft.take(name, value);
  if (printStates) return { kind: 'states', state: draft.state(environment) };
  return { kind: 'serve', flags: draft.flags(environment) };
}

type Environment = Readonly<Record<string, string | undefined>>;

interface Option {
  readonly name: string;
  readonly value: string;
}

function split(words: readonly string[]): Option[] {
  const options: Option[] = [];
  for (let i = 0; i < words.length; i++) {
    const word = words[i] ?? '';
    const equals = word.startsWith('--') ? word.indexOf('=') : -1;
    const given = equals < 0 ? word : word.slice(0, equals);
    const name = SHORT[given] ?? given;
    if (SWITCHES.has(name) || isHelp(name)) options.push({ name, value: '' });
    else options.push({ name, value: equals < 0 ? (words[++i] ?? '') : word.slice(equals + 1) });
  }
  return options;
}

function isHelp(name: string): boolean {
  return name === '-h' || name === '--help';
}

/** `a=b,c` as pairs; a word without `=` has an empty value. A key that is not expected is refused. */
function pairs(option: string, value: string, expected: readonly string[]): Map<string, string> {
  const found = new Map<string, string>();
  for (const part of value.split(',')) {
    const equals = part.indexOf('=');
    const key = equals < 0 ? part : part.slice(0, equals);
    if (!expected.includes(key))
      throw refusal(`${option} ${key} is not supported`, `${option} has ${expected.join(', ')}`);
    found.set(key, equals < 0 ? '' : part.slice(equals + 1));
  }
  return found;
}

class Draft {
  readonly #listen: Wanted[] = [];
  #tpm2 = false;
  #state: string | undefined;
  #key: { keyFile?: string; passphraseFile?: string } = {};
  #startup: ServeFlags['startup'] = 'none';
  #needInit = true;
  #terminate = false;
  #daemon = false;
  #pidFile: string | undefined;
  #logFile: string | undefined;

  take(name: string, value: string): void {
    switch (name) {
      case '--tpm2':
        this.#tpm2 = true;
        return;
      case '--port':
        this.#listen.push({ channel: 'data', at: place('--port', `port=${value}`, 'fd') });
        return;
      case '--server':
        this.#listen.push({ channel: 'data', at: place(name, value, 'fd') });
        return;
      case '--ctrl':
        this.#listen.push({ channel: 'control', at: place(name, value, 'clientfd') });
        return;
      case '--tpmstate': {
        const given = pairs(name, value, ['dir', 'backend-uri', 'mode', 'lock']);
        const uri = given.get('backend-uri');
        if (uri !== undefined && !uri.startsWith('dir://'))
          throw refusal(`state at ${uri} is not supported`, 'give dir=DIR');
        this.#state = given.get('dir') ?? uri?.slice('dir://'.length);
        return;
      }
      case '--key': {
        const given = pairs(name, value, ['pwdfile', 'mode', 'kdf']);
        this.#key = { passphraseFile: given.get('pwdfile') ?? '' };
        return;
      }
      case '--flags':
        for (const flag of pairs(name, value, Object.keys(FLAGS)).keys()) {
          this.#needInit = false;
          this.#startup = FLAGS[flag] ?? this.#startup;
        }
        return;
      case '--terminate':
        this.#terminate = true;
        return;
      case '--daemon':
        this.#daemon = true;
        return;
      case '--print-states':
        return;
      case '--pid':
        this.#pidFile = pairs(name, value, ['file']).get('file');
        return;
      case '--log': {
        const file = pairs(name, value, ['file', 'fd', 'level', 'prefix', 'truncate']).get('file');
        this.#logFile = file === '-' ? '/dev/null' : file;
        return;
      }
      // Localities are always settable here, and there is no filter of system calls to choose the action of.
      case '--locality':
        pairs(name, value, ['allow-set-locality']);
        return;
      case '--seccomp':
        pairs(name, value, ['action']);
        return;
      default:
        throw refusal(`swtpm’s option ${name} is not supported`, 'docs/tpm.md lists those that are');
    }
  }

  #stateFolder(environment: Environment): string | undefined {
    const directory = this.#state ?? environment.TPM_PATH;
    return directory === undefined ? undefined : `${directory}/${STATE_FOLDER}`;
  }

  state(environment: Environment): string {
    const state = this.#stateFolder(environment);
    if (state === undefined) throw refusal('no state was named', 'give --tpmstate dir=DIR');
    return state;
  }

  flags(environment: Environment): ServeFlags {
    if (!this.#tpm2) throw refusal('a TPM 1.2 is not emulated', 'give --tpm2');
    if (this.#listen.length === 0) throw refusal('no channel was asked for', 'give --server or --ctrl');
    const state = this.#stateFolder(environment);
    return {
      ...(state === undefined ? {} : { state }),
      ...this.#key,
      durability: 'power',
      profile: 'pc-client',
      listen: this.#listen,
      host: LOOPBACK,
      startup: this.#startup,
      off: this.#needInit,
      terminate: this.#terminate,
      autoShutdown: true,
      daemon: this.#daemon,
      ...(this.#pidFile === undefined ? {} : { pidFile: this.#pidFile }),
      ...(this.#logFile === undefined ? {} : { logFile: this.#logFile }),
    };
  }
}

const LOOPBACK = '127.0.0.1';

/** Flags of `--flags`, with the TPM2_Startup that each asks for. */
const FLAGS: Readonly<Record<string, ServeFlags['startup'] | undefined>> = {
  'not-need-init': undefined,
  'startup-clear': 'clear',
  'startup-state': 'state',
  'startup-none': 'none',
};

/** `type=tcp,port=P`, `type=unixio,path=P`, or a connection handed over, under the key that the option has for it. */
function place(option: string, value: string, inherited: 'fd' | 'clientfd'): Place | Inherited {
  const given = pairs(option, value, ['type', 'port', 'bindaddr', 'path', 'mode', 'disconnect', inherited]);
  const descriptor = given.get(inherited);
  if (descriptor !== undefined) {
    if (!/^\d{1,9}$/.test(descriptor))
      throw refusal(`${option} ${inherited}=${descriptor} is no descriptor`, 'give a number');
    return { fd: Number(descriptor) };
  }
  const path = given.get('path');
  if ((given.get('type') ?? 'tcp') === 'unixio') {
    if (!path) throw refusal(`${option} has no path`, 'give path=FILE');
    const mode = given.get('mode') ?? '0600';
    if (Number.parseInt(mode, 8) !== 0o600) {
      throw refusal(`${option} mode=${mode} lets others use the TPM`, 'sockets are of mode 0600 here');
    }
    return { path };
  }
  const port = Number(given.get('port'));
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw refusal(`${option} has no port from 1 to 65535`, 'give port=NUMBER');
  }
  return { host: given.get('bindaddr') ?? LOOPBACK, port };
}

function refusal(message: string, remedy: string): UsageError {
  return new UsageError('E_USAGE_SWTPM', message, remedy);
}

/** What `swtpm socket --print-capabilities` says, as far as it is so here. */
export const SWTPM_CAPABILITIES = {
  type: 'swtpm',
  features: [
    'tpm-2.0',
    'tpm-send-command-header',
    'flags-opt-startup',
    'cmdarg-seccomp',
    'cmdarg-print-states',
    'nvram-backend-dir',
    'tpmstate-dir-backend-opt-lock',
  ],
} as const;
