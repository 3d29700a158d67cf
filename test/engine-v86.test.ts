/** The engine contract held to the v86 engine, over the built package. */
import { createV86Engine } from 'nexus-tcb/vmm';
import { describe } from 'vitest';
import { engineContract } from './support/engine-contract.ts';

describe('v86', () => engineContract(createV86Engine, { snapshots: true }));
