import type { CryptoProvider } from './provider.ts';

/** The provider for where this runs: OpenSSL on Node, called directly where koffi can; noble elsewhere. */
export async function defaultCrypto(): Promise<CryptoProvider> {
  if (typeof process !== 'object' || process.versions?.node === undefined) {
    return new (await import('./noble.ts')).NobleCrypto();
  }
  const libcrypto = await (await import('./libcrypto.ts')).loadLibcrypto();
  if (libcrypto === undefined) return new (await import('./node.ts')).NodeCrypto();
  return new (await import('./libcrypto-provider.ts')).LibcryptoProvider(libcrypto);
}
