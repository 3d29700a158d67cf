/** Why a sealed volume is refused. Nothing in it was changed. */
export class VolumeError extends Error {
  readonly code: /** Not a volume, or one of another version. */
    | 'E_VOLUME_FORMAT'
    /** Of another partition, or changed after it was written. */
    | 'E_VOLUME_CORRUPT'
    /** An older state of the volume. */
    | 'E_VOLUME_STALE'
    /** The medium refused an earlier write. */
    | 'E_VOLUME_FAILED'
    /** No such block. */
    | 'E_VOLUME_RANGE';
  readonly remedy: string;
  constructor(code: VolumeError['code'], message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'VolumeError';
    this.code = code;
    this.remedy = remedy;
  }
}
