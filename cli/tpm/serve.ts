/** The body of `nexus tpm serve`. */
import { appendFileSync, rmSync, writeFileSync } from 'node:fs';
import { type Channel, type Inherited, type Place, serveTpm } from '../../tpm/index.ts';
import type { Outcome } from '../output.ts';
import { detach, isDetached, reportListening } from './daemon.ts';
import { type HomeFlags, openHome } from './home.ts';

export interface ServeFlags extends HomeFlags {
  readonly swtpm?: number;
  readonly mssim?: number;
  readonly qemu?: string;
  readonly data?: string;
  /** Channels by themselves, instead of those that the four before stand for. */
  readonly listen?: readonly Wanted[];
  readonly host: string;
  readonly startup: 'none' | 'clear' | 'state';
  readonly off: boolean;
  readonly terminate: boolean;
  readonly autoShutdown: boolean;
  readonly daemon?: boolean;
  readonly pidFile?: string;
  readonly logFile?: string;
  readonly json?: boolean;
}

/** Where the server listens, and how a client is sent there. */
export interface Listening {
  readonly places: readonly { readonly channel: Channel; readonly at: Place | Inherited; readonly hint?: string }[];
}

const DEFAULT_PORT = 2321;
const STARTUP = { clear: 0, state: 1 } as const;

/** A channel to be served. */
export interface Wanted {
  readonly channel: Channel;
  readonly at: Place | Inherited;
  readonly hint?: string;
}

function wanted(flags: ServeFlags): readonly Wanted[] {
  if (flags.listen) return flags.listen;
  const { host, mssim, qemu, data } = flags;
  const nothing = mssim === undefined && qemu === undefined && data === undefined;
  const swtpm = flags.swtpm ?? (nothing ? DEFAULT_PORT : undefined);
  const list: Wanted[] = [];
  if (swtpm !== undefined) {
    const hint = `TPM2TOOLS_TCTI=swtpm:host=${host},port=${swtpm}`;
    list.push(
      { channel: 'data', at: { host, port: swtpm }, hint },
      { channel: 'control', at: { host, port: swtpm + 1 } },
    );
  }
  if (mssim !== undefined) {
    const hint = `TPM2TOOLS_TCTI=mssim:host=${host},port=${mssim}`;
    list.push(
      { channel: 'data', at: { host, port: mssim }, hint },
      { channel: 'platform', at: { host, port: mssim + 1 } },
    );
  }
  if (qemu !== undefined) {
    const hint = `-chardev socket,id=chrtpm,path=${qemu} -tpmdev emulator,id=tpm0,chardev=chrtpm`;
    list.push({ channel: 'control', at: { path: qemu }, hint });
  }
  // No hint: tpm2-tss wants a control socket beside it, at FILE.ctrl.
  if (data !== undefined) list.push({ channel: 'data', at: { path: data } });
  return list;
}

/** Serve until a signal or a client ends it. `ready` is called when every channel stands. */
export async function serve(flags: ServeFlags, ready: (listening: Listening) => void): Promise<Outcome> {
  if (flags.daemon && !isDetached()) return detach(flags.logFile);
  const home = await openHome(flags);
  let end: (why: string) => void = () => {};
  const ended = new Promise<string>((resolve) => {
    end = resolve;
  });
  const onSignal = (signal: string) => end(signal);
  try {
    if (!flags.off) {
      await home.board.init();
      if (flags.startup !== 'none') await home.board.execute(startupCommand(STARTUP[flags.startup]));
    }
    const list = wanted(flags);
    const server = await serveTpm(home.board, {
      listen: list,
      dedicated: true,
      onShutdown: () => end('shutdown'),
      ...(flags.terminate || list.every(({ at }) => 'fd' in at) ? { onIdle: () => end('last connection closed') } : {}),
      log: (message) => log(flags, `nexus tpm: ${message}\n`),
    });
    for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, onSignal);
    if (flags.pidFile !== undefined) writeFileSync(flags.pidFile, `${process.pid}\n`);
    const places = list.map((place, i) => ({ ...place, at: server.places[i] ?? place.at }));
    ready({ places });
    reportListening(places);
    const why = await ended;
    await server.close();
    await home.board.stop();
    return { json: { ended: why }, text: `ended: ${why}`, streamed: true };
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM']) process.off(signal, onSignal);
    await home.close();
    if (flags.pidFile !== undefined) rmSync(flags.pidFile, { force: true });
  }
}

/** A daemon's standard error is its log file already. */
function log({ logFile, daemon }: ServeFlags, line: string): void {
  if (logFile === undefined || daemon) process.stderr.write(line);
  else appendFileSync(logFile, line, { mode: 0o600 });
}

function startupCommand(type: 0 | 1): Uint8Array {
  return Uint8Array.of(0x80, 0x01, 0, 0, 0, 12, 0, 0, 0x01, 0x44, 0, type);
}
