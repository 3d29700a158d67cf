/**
 * The host's tie to its verifier: the platform enrols when the host starts, and where the verifier is away, again and again
 * in the background. Guests that only unseal need none of it; one that asks for a challenge waits a while for it.
 */
import { type VerifierClient, VerifierRefusal } from '../../attestation/client.ts';
import type { HostObserver } from './events.ts';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 60_000;
/** How long a guest's request waits for a verifier that is away before it fails. */
export const PATIENCE_MS = 60_000;

export interface VerifierLinkOptions {
  readonly url: string;
  /** What guests' messages are relayed to. */
  readonly client: VerifierClient;
  /** Make the platform known; returns its name. Throws VerifierRefusal. */
  readonly enrol: () => Promise<string>;
  readonly observe: HostObserver;
}

interface Waiting {
  readonly enrolled: () => void;
  readonly failed: (error: unknown) => void;
  readonly patience: NodeJS.Timeout;
}

export class VerifierLink {
  private readonly options: VerifierLinkOptions;
  private readonly waiting = new Set<Waiting>();
  private isEnrolled = false;
  private isClosed = false;
  private failures = 0;
  private trying = false;
  private next: NodeJS.Timeout | undefined;
  private last: unknown;
  private told: string | undefined;

  constructor(options: VerifierLinkOptions) {
    this.options = options;
  }

  /** Enrol. A verifier that is away is told of, and tried again. Throws VerifierRefusal where it says no. */
  async open(): Promise<void> {
    await this.attempt();
    if (!this.isEnrolled && !isAway(this.last)) throw this.last;
    this.schedule();
  }

  /** The verifier, once it knows the platform. Throws why not, when it has been away for `PATIENCE_MS`. */
  async ready(): Promise<VerifierClient> {
    if (!this.isEnrolled) {
      await new Promise<void>((resolve, reject) => {
        const failed = (error: unknown) => {
          this.stopWaiting(one);
          reject(error);
        };
        const enrolled = () => {
          this.stopWaiting(one);
          resolve();
        };
        const one: Waiting = { enrolled, failed, patience: setTimeout(() => failed(this.last), PATIENCE_MS) };
        this.waiting.add(one);
        if (this.isClosed) failed(this.last);
        else if (!this.trying) void this.retry();
      });
    }
    return this.options.client;
  }

  /** Nothing is tried any more; who waits is told why it failed last. */
  close(): void {
    this.isClosed = true;
    clearTimeout(this.next);
    for (const one of [...this.waiting]) one.failed(this.last);
  }

  private async attempt(): Promise<void> {
    const { url: verifier, enrol, observe } = this.options;
    this.trying = true;
    try {
      const platform = await enrol();
      this.isEnrolled = true;
      observe({ kind: 'enrolled', platform, verifier });
      for (const one of [...this.waiting]) one.enrolled();
    } catch (error) {
      this.failures += 1;
      this.last = error;
    } finally {
      this.trying = false;
    }
  }

  private async retry(): Promise<void> {
    clearTimeout(this.next);
    await this.attempt();
    this.schedule();
  }

  private schedule(): void {
    if (this.isEnrolled || this.isClosed) return;
    this.tell();
    // Nobody waits: there is time. A tenth of it is random, so that hosts do not come back all at once.
    const wait = Math.min(FIRST_WAIT_MS * 2 ** Math.min(this.failures - 1, 10), LONGEST_WAIT_MS);
    const delay = this.waiting.size > 0 ? FIRST_WAIT_MS : wait * (0.9 + Math.random() * 0.2);
    this.next = setTimeout(() => void this.retry(), delay);
  }

  /** The same reason is told once. */
  private tell(): void {
    const code = this.last instanceof VerifierRefusal ? this.last.code : 'failed';
    if (this.told === code) return;
    this.told = code;
    const detail = this.last instanceof Error ? this.last.message : String(this.last);
    this.options.observe({ kind: 'verifier-away', verifier: this.options.url, code, detail });
  }

  private stopWaiting(one: Waiting): void {
    clearTimeout(one.patience);
    this.waiting.delete(one);
  }
}

const TOO_MANY_REQUESTS = 429;
const SERVER_ERROR = 500;

/** What time may mend: no answer, or one that says "later". */
function isAway(error: unknown): boolean {
  if (!(error instanceof VerifierRefusal)) return false;
  const { code, status } = error;
  return code === 'unreachable' || status === TOO_MANY_REQUESTS || status >= SERVER_ERROR;
}
