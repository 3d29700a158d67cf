/** `nexus guest linux`: a stock Linux of the distribution as a partition, at this terminal. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { encodeEventLog } from '../../attestation/index.ts';
import { ConsoleHub } from '../../nexus/host/index.ts';
import type { TpmDevice } from '../../tpm/device.ts';
import { openTransport } from '../../tpm/transports/index.ts';
import {
  type EngineChoice,
  EngineError,
  FAST_COMMAND_LINE,
  fetchLinux,
  type LinuxArchitecture,
  LinuxGuestError,
  launchLinux,
  linuxCache,
  openEngine,
  READY_MARK,
  type Vm,
  type VmExit,
} from '../../vmm/index.ts';
import { EXIT, UsageError } from '../errors.ts';
import { consoleSocket, takeTerminal } from '../guest-console.ts';
import { conclude, examples, withJson } from '../output.ts';
import { openHome } from '../tpm/home.ts';
import { guestBuildCommand } from './guest-build.ts';

interface LinuxFlags {
  readonly arch: LinuxArchitecture;
  readonly engine: EngineChoice;
  readonly memory: number;
  readonly tools: boolean;
  readonly append: string;
  readonly cache: string;
  readonly name: string;
  readonly state?: string;
  readonly tpm?: string;
  readonly json?: boolean;
}

const mebibytes = (text: string): number => {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 48 || value > 2047) throw new InvalidArgumentError('give 48 to 2047 MiB');
  return value;
};

export function guestCommand(): Command {
  const linux = withJson(
    new Command('linux').description("boot the distribution's stock kernel; Ctrl-] ends the guest"),
  )
    .addOption(new Option('--arch <name>', 'kernel to boot').choices(['i686', 'x86_64']).default('i686'))
    .addOption(
      new Option('--engine <name>', 'auto is v86 for i686 and kvm for x86_64')
        .choices(['auto', 'v86', 'kvm'])
        .default('auto'),
    )
    .addOption(new Option('--memory <MiB>', 'memory of the guest').default(128).argParser(mebibytes))
    .option('--no-tools', 'leave tpm2-tools out of the guest')
    .option('--append <words>', 'more words for the kernel command line', '')
    .option('--cache <dir>', 'where packages are kept', linuxCache())
    .option('--name <name>', 'name of the guest, for nexus console', 'linux')
    .option('--state <dir>', 'keep its TPM in this directory, made if absent (default: in memory)')
    .option('--tpm <address>', 'another TPM than its own: swtpm:port=2321, device:/dev/tpmrm0, ...; or none')
    .addHelpText(
      'after',
      examples(
        ['nexus guest linux', 'stock Debian kernel, measured boot, a TPM and tpm2-tools; its shell on this terminal'],
        ['nexus guest linux --state ./web', 'a TPM that remembers what was sealed'],
        ['echo "dmesg; poweroff -f" | nexus guest linux', 'run commands and end'],
      ),
    )
    .action((flags: LinuxFlags) => conclude(flags.json ?? false, () => runLinux(flags).catch(explain)));
  return new Command('guest')
    .description('guests beside those of a host file: a stock Linux, and programs of your own')
    .addHelpText('after', examples(['nexus guest linux', 'a stock kernel with a TPM of its own, on this terminal']))
    .addCommand(linux)
    .addCommand(guestBuildCommand());
}

async function runLinux(flags: LinuxFlags) {
  if (flags.arch === 'x86_64' && flags.engine === 'v86') {
    throw new UsageError('E_ENGINE', 'v86 runs 32-bit guests', 'use --arch i686, or --engine kvm');
  }
  const say = (text: string) => process.stderr.write(`nexus: ${text}\n`);
  // The 32-bit kernel starts faster in v86 than where KVM is nested; a 64-bit one needs KVM.
  const choice = flags.engine === 'auto' ? (flags.arch === 'i686' ? 'v86' : 'kvm') : flags.engine;
  const started = performance.now();
  const [files, { engine }, tpm] = await Promise.all([
    fetchLinux(flags.cache, flags.arch, { tools: flags.tools }),
    openEngine(choice),
    openTpm(flags),
  ]);
  const commandLine = flags.append === '' ? FAST_COMMAND_LINE : `${FAST_COMMAND_LINE} ${flags.append}`;
  const socket = consoleSocket(flags.name);
  let vm: Vm | undefined;
  const keys = new HeldKeys((bytes) => vm?.input(bytes));
  const hub = new ConsoleHub(keys.type);
  hub.view(keys.watch);
  if (!flags.json) hub.view((bytes) => process.stdout.write(bytes));
  mkdirSync(dirname(socket), { recursive: true, mode: 0o700 });
  await hub.listen(socket);
  let leaving = false;
  const release = takeTerminal(keys.type, () => {
    leaving = true;
    void vm?.stop();
  });
  say(`${files.kernelPackage} on ${engine.name}; Ctrl-] ends it; nexus console ${flags.name} joins`);
  let exit: VmExit;
  try {
    do {
      let ended: (how: VmExit) => void = () => {};
      const gone = new Promise<VmExit>((resolve) => {
        ended = resolve;
      });
      ({ vm } = await launchLinux(engine, {
        name: flags.name,
        files,
        commandLine,
        memoryBytes: flags.memory * 2 ** 20,
        monitorVersion: 'nexus-tcb',
        ...(tpm && { tpm }),
        encodeLog: encodeEventLog,
        onConsole: hub.show,
        onExit: (how) => ended(how),
      }));
      await vm.start();
      exit = await gone;
      if (tpm) tpm.powerOff();
    } while (!leaving && exit.kind === 'stopped' && exit.by === 'reset');
  } finally {
    release();
    await hub.close();
    await engine.close();
    await tpm?.close();
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);
  const how = exit.kind === 'crashed' ? `crashed: ${exit.reason}` : `stopped (${exit.by})`;
  return {
    json: { kernel: files.kernelPackage, engine: engine.name, exit, seconds: Number(seconds) },
    text: `guest ${how} after ${seconds} s`,
    exitCode: exit.kind === 'crashed' ? EXIT.REFUSED : EXIT.OK,
  };
}

/** Keeps what is typed before the guest's shell asks for it: a kernel that starts throws it away. */
class HeldKeys {
  readonly #send: (bytes: Uint8Array) => void;
  #held: Uint8Array[] | undefined = [];
  #seen = '';

  constructor(send: (bytes: Uint8Array) => void) {
    this.#send = send;
  }

  type = (bytes: Uint8Array): void => {
    if (this.#held) this.#held.push(Uint8Array.from(bytes));
    else this.#send(bytes);
  };

  watch = (bytes: Uint8Array): void => {
    if (!this.#held) return;
    this.#seen = `${this.#seen}${Buffer.from(bytes).toString('latin1')}`.slice(-4096);
    const ready = this.#seen.indexOf(READY_MARK);
    if (ready < 0 || !this.#seen.includes('# ', ready)) return;
    for (const typed of this.#held) this.#send(typed);
    this.#held = undefined;
  };
}

/** The guest's own TPM, or the one at an address, or none. */
async function openTpm({ tpm, state }: LinuxFlags): Promise<TpmDevice | undefined> {
  if (tpm === 'none') return undefined;
  if (tpm !== undefined) return transportDevice(tpm);
  const home = await openHome({ durability: 'power', profile: 'pc-client', ...(state === undefined ? {} : { state }) });
  return home.tpm;
}

/** A TPM at an address, as a machine's: it is on already, and its power is not ours to switch. */
async function transportDevice(address: string): Promise<TpmDevice> {
  const transport = await openTransport(address);
  return {
    established: false,
    powerOn() {},
    powerOff() {},
    execute: (command) => transport.send(command),
    hashStart() {},
    hashData() {},
    hashEnd() {},
    cancel() {},
    resetEstablished: () => false,
    close: () => transport.close(),
  };
}

/** Errors of the rooms below in the command line's shape; their messages hold the cause. */
function explain(error: unknown): never {
  if (error instanceof LinuxGuestError) {
    const [code, way] =
      error.code === 'LINUX_MEMORY'
        ? ['E_MEMORY', 'give it more with --memory']
        : [`E_ENV_${error.code}`, 'docs/guests-linux.md lists what the host needs'];
    throw new UsageError(code, error.message, way);
  }
  if (error instanceof EngineError) {
    throw new UsageError('E_ENV_ENGINE', error.message, 'nexus engines says what works on this machine');
  }
  throw error;
}
