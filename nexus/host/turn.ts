/** Work on one thing, one piece after another. */
export class Turn {
  private last: Promise<unknown> = Promise.resolve();

  /** Run `work` once all that was given before has ended, well or not; resolves and rejects as it does. */
  take<T>(work: () => Promise<T>): Promise<T> {
    const run = this.last.then(work, work);
    this.last = run.catch(() => {});
    return run;
  }
}
