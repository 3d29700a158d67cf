import { createV86Engine } from 'nexus-tcb/vmm';
import { oracleContract } from './support/oracle-contract.ts';

oracleContract(createV86Engine);
