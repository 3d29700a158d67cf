/** COSE as the project uses it: COSE_Sign1, COSE_Encrypt0, COSE_Key. A second library is the oracle in tests. */
export { ALGORITHM, type AlgorithmName } from './algorithms.ts';
export * from './encrypt0.ts';
export { decodeCoseKey } from './key.ts';
export { CoseError, type Headers } from './object.ts';
export * from './sign.ts';
export {
  type ForeignOptions,
  type ForeignSign1,
  readForeignSign1,
  type Signed,
  verifyForeignSign1,
  verifySign1,
  verifySign1WithEmbeddedKey,
} from './sign1.ts';
