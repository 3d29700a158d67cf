/** The main job, as a newcomer runs it: every stage behaves and shows its evidence. */
import { test } from 'vitest';
import { demoOn } from './support/demo.ts';

test('nexus demo --json: every stage, its evidence, and every refusal', { timeout: 180_000 }, () => demoOn('v86'));
