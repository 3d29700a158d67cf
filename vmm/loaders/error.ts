/** Why an image cannot be loaded; the message says what to change. */
export class MultibootError extends Error {
  readonly code: 'MULTIBOOT_HEADER' | 'MULTIBOOT_ELF' | 'MULTIBOOT_MEMORY' | 'MULTIBOOT_COMMAND_LINE';
  constructor(code: MultibootError['code'], message: string) {
    super(message);
    this.name = 'MultibootError';
    this.code = code;
  }
}
