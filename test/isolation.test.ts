import { createV86Engine } from 'nexus-tcb/vmm';
import { isolationContract } from './support/isolation-contract.ts';

isolationContract(createV86Engine);
