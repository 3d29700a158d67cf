/** Why a Linux guest cannot be built or started; the message names the way out. */
export class LinuxGuestError extends Error {
  readonly code: /** A program of the distribution is missing here. */
    | 'LINUX_TOOL'
    /** The distribution's archive does not give what is asked. */
    | 'LINUX_FETCH'
    /** A file in the cache is not what was verified when it came. */
    | 'LINUX_CACHE'
    /** The kernel image is malformed or of another kind. */
    | 'LINUX_KERNEL'
    /** It does not fit into the partition's memory. */
    | 'LINUX_MEMORY';
  constructor(code: LinuxGuestError['code'], message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LinuxGuestError';
    this.code = code;
  }
}
