/** Why a store cannot be opened or written: the code is for programs, the message names the file and the way out. */
export class StoreError extends Error {
  override readonly name = 'StoreError';
  readonly code: 'LOCKED' | 'SYMLINK' | 'PERMISSION' | 'WRONG_KEY' | 'NO_KEY' | 'CORRUPT' | 'VERSION' | 'IO' | 'CLOSED';
  readonly path: string;

  constructor(code: StoreError['code'], path: string, message: string, cause?: unknown) {
    super(`${path}: ${message}`, cause === undefined ? undefined : { cause });
    this.code = code;
    this.path = path;
  }
}
