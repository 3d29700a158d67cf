/** Wanted figures: each is named, met or missed, and the missed ones end the run. */

export interface Figure {
  readonly name: string;
  readonly wanted: string;
  readonly measured: string;
  readonly met: boolean;
}

/** At least so many. */
export function atLeast(name: string, limit: number, value: number, unit = 'x'): Figure {
  return { name, wanted: `>= ${show(limit)}${unit}`, measured: `${show(value)}${unit}`, met: value >= limit };
}

/** At most so many. */
export function atMost(name: string, limit: number, value: number, unit = 'x'): Figure {
  return { name, wanted: `<= ${show(limit)}${unit}`, measured: `${show(value)}${unit}`, met: value <= limit };
}

const show = (value: number) => (value >= 1000 ? Math.round(value).toLocaleString('en') : value.toFixed(2));

/** Print the figures; the last line says what was missed. Returns the process's exit code. */
export function report(figures: readonly Figure[]): number {
  console.log('\nwanted figures');
  const width = Math.max(...figures.map(({ name }) => name.length));
  for (const { name, wanted, measured, met } of figures) {
    console.log(`  ${met ? 'met   ' : 'MISSED'}  ${name.padEnd(width)}  ${measured}  (wanted ${wanted})`);
  }
  const missed = figures.filter(({ met }) => !met);
  console.log(
    missed.length === 0
      ? `all ${figures.length} wanted figures met`
      : `missed: ${missed.map(({ name, measured }) => `${name} (${measured})`).join('; ')}`,
  );
  return missed.length === 0 ? 0 : 1;
}
