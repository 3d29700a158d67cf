/** Why a snapshot is refused. Nothing of the partition was changed. */
export class SnapshotError extends Error {
  readonly code: /** Not a snapshot file, or one that ends too early. */
    | 'E_SNAPSHOT_FORMAT'
    /** Of a version that this build does not read. */
    | 'E_SNAPSHOT_VERSION'
    /** Of another partition. */
    | 'E_SNAPSHOT_FOREIGN'
    /** Changed after it was sealed, or sealed on another platform. */
    | 'E_SNAPSHOT_CORRUPT'
    /** Older than the partition's newest state: restoring it would take back what the partition did since. */
    | 'E_SNAPSHOT_STALE'
    /** Of a machine that this one is not: another engine or size of memory. */
    | 'E_SNAPSHOT_MACHINE'
    /** The partition cannot be saved now. */
    | 'E_SNAPSHOT_BUSY';
  readonly remedy: string;
  constructor(code: SnapshotError['code'], message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'SnapshotError';
    this.code = code;
    this.remedy = remedy;
  }
}
