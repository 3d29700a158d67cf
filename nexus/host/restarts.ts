/**
 * Partitions that are started again when they have crashed. One that crashes at once, over and over, waits longer each
 * time; one that had run for a while begins with the shortest wait.
 */

const FIRST_WAIT_MS = 100;
const LONGEST_WAIT_MS = 60_000;
/** A partition that ran this long had come up. */
const CAME_UP_MS = 60_000;

interface Crashes {
  readonly at: number;
  readonly wait: number;
}

export class Restarts {
  private readonly crashes = new Map<string, Crashes>();
  private readonly waiting = new Set<NodeJS.Timeout>();
  private readonly restart: (name: string) => void;
  private readonly now: () => number;

  /** `restart` is called when a partition's wait is over; `now` gives milliseconds. */
  constructor(restart: (name: string) => void, now: () => number = () => performance.now()) {
    this.restart = restart;
    this.now = now;
  }

  /** Milliseconds until the partition is started again. */
  crashed(name: string): number {
    const at = this.now();
    const last = this.crashes.get(name);
    const again = last !== undefined && at - last.at < last.wait + CAME_UP_MS;
    const wait = again ? Math.min(2 * last.wait, LONGEST_WAIT_MS) : FIRST_WAIT_MS;
    this.crashes.set(name, { at, wait });
    const timer = setTimeout(() => {
      this.waiting.delete(timer);
      this.restart(name);
    }, wait);
    this.waiting.add(timer);
    return wait;
  }

  /** Nothing is started any more. */
  close(): void {
    for (const timer of this.waiting) clearTimeout(timer);
    this.waiting.clear();
  }
}
