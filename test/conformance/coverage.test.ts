/** Every tool of the clients' packages is in a script, or its absence has a reason. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { type Coverage, coverage, FAMILIES } from './coverage.ts';
import { folder, SUITES, scripts } from './transcripts.ts';

const report: Coverage[] = [];

afterAll(() => {
  for (const { family, tools, covered } of report) {
    const used = tools.filter((tool) => covered.has(tool));
    const reasons = tools.filter((tool) => !covered.has(tool)).map((tool) => `\n  ${tool}: ${family.excused[tool]}`);
    console.log(`${family.name}: ${used.length} of ${tools.length} tools${reasons.join('')}`);
  }
});

test('what swtpm was recorded to answer is what the scripts expect', () => {
  const files = SUITES.flatMap((suite) => scripts(suite).map((script) => `${folder(suite)}${script}.transcript`));
  const unexpected = files.filter((file) => /^(FAILED|NOT REFUSED|DIFFERENT)/m.test(readFileSync(file, 'utf8')));
  expect(unexpected).toEqual([]);
});

describe.each(FAMILIES)('$name', (family) => {
  const probe = SUITES.find(({ prefix }) => prefix === family.prefix)?.probe ?? '';
  const found = spawnSync('sh', ['-c', `command -v ${probe}`], { encoding: 'utf8' }).stdout.trim();

  test.skipIf(!found)('every tool succeeds in a transcript, or has a reason not to (needs the package)', () => {
    const it = coverage(family, dirname(found));
    report.push(it);
    const { tools, covered } = it;
    expect(tools).not.toEqual([]);
    expect(tools.filter((tool) => !covered.has(tool)).sort()).toEqual(Object.keys(family.excused).sort());
  });
});
