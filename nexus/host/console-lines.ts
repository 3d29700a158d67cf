/** A guest's console as whole lines that are safe on a terminal. */

/** A line longer than this is cut into several: a guest must not make the host buffer without end. */
const LINE_MAX = 1024;

export class ConsoleLines {
  private readonly onLine: (line: string) => void;
  private buffered = '';

  constructor(onLine: (line: string) => void) {
    this.onLine = onLine;
  }

  push(bytes: Uint8Array): void {
    for (const byte of bytes) {
      if (byte === 0x0a) this.flush();
      else if (byte !== 0x0d) this.buffered += byte >= 0x20 && byte < 0x7f ? String.fromCharCode(byte) : '.';
      if (this.buffered.length >= LINE_MAX) this.flush();
    }
  }

  /** What was not ended by a newline is a line too. */
  end(): void {
    if (this.buffered !== '') this.flush();
  }

  private flush(): void {
    this.onLine(this.buffered);
    this.buffered = '';
  }
}
