import { TPM_RC } from './constants.ts';

const FMT1 = 0x080;
const PARAMETER = 0x040;
const SESSION = 0x800;

/**
 * A refusal by the specification's response code. `at` names the declared handle or parameter at fault; the dispatcher
 * turns the name into the number of Part 2, section 6.6.2. Format-zero codes carry no number.
 */
export class TpmError extends Error {
  override readonly name = 'TpmError';
  readonly code: number;
  readonly at: string | undefined;

  constructor(code: number, at?: string) {
    // A refusal is an answer, not a fault of this program: collecting a stack would cost more than the command.
    const limit = Error.stackTraceLimit;
    Error.stackTraceLimit = 0;
    super(at === undefined ? rcName(code) : `${rcName(code)} (${at})`);
    Error.stackTraceLimit = limit;
    this.code = code;
    this.at = at;
  }
}

/** Number a format-one code with parameter `n` (1-15); other codes stay. */
export const atParameter = (code: number, n: number): number =>
  isBareFormatOne(code) ? code | PARAMETER | (n << 8) : code;

/** Number a format-one code with handle `n` (1-7); other codes stay. */
export const atHandle = (code: number, n: number): number => (isBareFormatOne(code) ? code | (n << 8) : code);

/** Number a format-one code with session `n` (1-7); other codes stay. */
export const atSession = (code: number, n: number): number =>
  isBareFormatOne(code) ? code | SESSION | (n << 8) : code;

/** The code without its number: 0x1d5 -> TPM_RC_SIZE. */
export const baseCode = (code: number): number => ((code & FMT1) !== 0 ? code & 0x0bf : code);

function isBareFormatOne(code: number): boolean {
  return (code & FMT1) !== 0 && (code & ~0x0bf) === 0;
}

const names = new Map<number, string>(Object.entries(TPM_RC).map(([name, code]) => [code, `TPM_RC_${name}`]));

/** `TPM_RC_SIZE, parameter 1`: for people. */
export function rcName(code: number): string {
  const name = names.get(baseCode(code)) ?? `response code 0x${code.toString(16).padStart(3, '0')}`;
  if ((code & FMT1) === 0 || isBareFormatOne(code)) return name;
  if ((code & PARAMETER) !== 0) return `${name}, parameter ${(code >> 8) & 15}`;
  if ((code & SESSION) !== 0) return `${name}, session ${(code >> 8) & 7}`;
  return `${name}, handle ${(code >> 8) & 7}`;
}
