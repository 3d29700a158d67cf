/** What every command does with failure: one shape on the terminal, one in JSON, and a documented exit code. */

/** Exit codes of `nexus`, listed in docs/cli.md. */
export const EXIT = {
  OK: 0,
  /** The answer is no: a verdict against, a stage of the demo that misbehaved, a policy test that failed. */
  REFUSED: 1,
  /** The command line or an input file is wrong. */
  USAGE: 2,
  /** The state directory is locked, corrupted or of another version. Nothing was changed. */
  STATE: 3,
  /** The machine lacks something: a compiler, a device, a port. */
  ENVIRONMENT: 4,
  /** A defect of nexus itself. */
  INTERNAL: 70,
} as const;

export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** The shape that errors of every room share: a stable code, the cause, and the way out. */
export interface TypedError extends Error {
  readonly code: string;
  readonly remedy: string;
}

export function isTypedError(error: unknown): error is Error & { readonly code: string; readonly remedy?: string } {
  if (!(error instanceof Error) || systemError(error)) return false;
  const { code } = error as Partial<TypedError>;
  return typeof code === 'string' && !code.startsWith('ERR_'); // ERR_: Node's own, a defect of ours
}

/** The verifier's own refusals, here or over HTTP: `platform-unknown`, `unreachable` (attestation/verifier/errors.ts). */
const VERIFIER_CODE = /^[a-z]+(-[a-z]+)*$/;
const VERIFIER_STATE = new Set(['database-unavailable', 'database-newer', 'kek-wrong']);

/** An error's code as this command prints it: those of the verifier say who refused, then what. */
function houseCode(code: string): string {
  if (!VERIFIER_CODE.test(code)) return code;
  const prefix = code === 'unreachable' ? 'E_ENV' : VERIFIER_STATE.has(code) ? 'E_STATE' : 'E_REFUSED';
  const what = code.replace(prefix === 'E_REFUSED' ? /-refused$/ : /^$/, '');
  return `${prefix}_${what.replaceAll('-', '_').toUpperCase()}`;
}

/** A mistake on the command line or in a file that the command line names. */
export class UsageError extends Error implements TypedError {
  readonly code: string;
  readonly remedy: string;
  constructor(code: string, message: string, remedy: string) {
    super(message);
    this.name = 'UsageError';
    this.code = code;
    this.remedy = remedy;
  }
}

const STATE_CODE = /^E_(STATE|STORE|LOCK|NOT_RUNNING)/;
const ENVIRONMENT_CODE = /^(E_(ENV|NO_DEVICE|PORT|TRANSPORT(?!_ADDRESS)|PLATFORM)|GUEST_COMPILER)/;
const REFUSED_CODE = /^E_(REFUSED|UNSEAL_REFUSED|HOST_REFUSED|ROOT_SEALED|RELEASE_|VERDICT)/;
/** Files that are not what the command line says. */
const FILE_CODE = /^(ENOENT|ENOTDIR|EISDIR|EEXIST)$/;

/** The state directory is at fault. */
export const isStateCode = (code: string): boolean => STATE_CODE.test(code);

export function exitCodeOf(error: unknown): ExitCode {
  if (systemError(error)) return FILE_CODE.test(error.code ?? '') ? EXIT.USAGE : EXIT.ENVIRONMENT;
  if (!isTypedError(error)) return EXIT.INTERNAL;
  if (error.code === 'request-malformed') return EXIT.USAGE; // what was typed, sent on to the verifier
  const code = houseCode(error.code);
  if (isStateCode(code)) return EXIT.STATE;
  if (ENVIRONMENT_CODE.test(code)) return EXIT.ENVIRONMENT;
  if (REFUSED_CODE.test(code)) return EXIT.REFUSED;
  return EXIT.USAGE;
}

/** By the system's code; what it says by itself is not said again. */
const WAYS_OUT: Readonly<Record<string, string>> = {
  EEXIST: 'name another place: what is there is kept',
  EISDIR: 'name a file, not a directory',
  ENOTDIR: 'a part of this path is a file: name another',
  EADDRINUSE: 'stop what listens there, or choose another port',
  ENOSPC: 'make room on the disk',
};

/** What is added to a file's name until it has its content: the user named the file without. */
const ASIDE = /\.\d+\.(tmp|new)(?=')/g;

/** Errors of the operating system (ENOENT, EACCES, EADDRINUSE...) are the user's surroundings, not a defect. */
function systemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && typeof (error as NodeJS.ErrnoException).syscall === 'string';
}

/** Control characters in what is quoted from a file are shown, not sent to the terminal. */
export function visible(text: string): string {
  return text.replace(/[^\P{Cc}\n\t]/gu, (char) => `\\x${char.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

/** Print an error as a person or a program wants it; a stack trace only for a defect of ours. */
export function reportError(error: unknown, json: boolean): void {
  if (json) {
    const { code, message, remedy } = describeError(error);
    process.stdout.write(`${JSON.stringify({ ok: false, error: { code, message, remedy } }, null, 2)}\n`);
    return;
  }
  const { code, message, remedy, stack } = describeError(error);
  process.stderr.write(
    `nexus: ${code}: ${visible(message)}\n${remedy ? `  way out: ${remedy}\n` : ''}${stack ? `${stack}\n` : ''}`,
  );
}

/** An error as plain data: for JSON, and for another process. */
export function describeError(error: unknown): { code: string; message: string; remedy: string; stack?: string } {
  if (isTypedError(error)) {
    const { failed } = error as { failed?: readonly string[] };
    const message = failed?.length ? `${error.message} Failed: ${failed.join(', ')}.` : error.message;
    return { code: houseCode(error.code), message, remedy: error.remedy ?? '' };
  }
  if (systemError(error)) {
    return {
      code: error.code ?? 'E_ENV',
      message: error.message.replace(/^([a-z]+ )?E[A-Z]+: /, '').replace(ASIDE, ''),
      remedy: WAYS_OUT[error.code ?? ''] ?? 'check that the path or port exists and that you may use it',
    };
  }
  const message = error instanceof Error ? error.message : String(error);
  const stack = error instanceof Error ? error.stack : undefined;
  return {
    code: 'E_INTERNAL',
    message,
    remedy: 'this is a defect of nexus; please report it with the trace below',
    ...(stack ? { stack } : {}),
  };
}
