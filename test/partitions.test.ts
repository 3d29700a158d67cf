import { createV86Engine } from 'nexus-tcb/vmm';
import { partitionContract } from './support/partition-contract.ts';

partitionContract(createV86Engine);
