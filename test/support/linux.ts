/** Whether tests of Linux guests run here, and why not. */
import { spawnSync } from 'node:child_process';

const has = (tool: string) => spawnSync(tool, ['--version']).error === undefined;

/** The reason to skip; undefined where they run. */
export const linuxSkip: string | undefined =
  process.env.NEXUS_TEST_LINUX !== '1'
    ? 'run by npm run test:linux'
    : !has('apt-get')
      ? 'apt-get is not here: Linux guests come from the distribution'
      : undefined;
export const linuxTitle = (title: string) => `${title}${linuxSkip ? ` (skipped: ${linuxSkip})` : ''}`;
