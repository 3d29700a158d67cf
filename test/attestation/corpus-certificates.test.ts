/** Every platform certificate of the corpus says what its recorded reading says, and verifies where its signer is there. */
import { describe, expect, test } from 'vitest';
import { verification } from '../../attestation/crypto/port.ts';
import { isHolder, readAttributeCertificate, validateAttributeCertificate } from '../../attestation/x509/attribute.ts';
import { publicKeyOf, readCertificate } from '../../attestation/x509/certificate.ts';
import { Trust } from '../../attestation/x509/chain.ts';
import { corpusBytes, corpusFiles, corpusIsThere, corpusText, WHY_SKIPPED } from './corpus.ts';

const files = corpusFiles('platform-cert');
const certificates = files.filter(({ path }) => path.endsWith('.cer') && !path.includes('SigningKey'));
/** Signed with SHA-1 by the key whose certificate is there; the signers of the others are not. */
const SHA1_WITH_RSA = '1.2.840.113549.1.1.5';
const SIGNED = ['nuc_pc.cer', 'nuc_pc2.cer', '_pc1.cer', '_pc2.cer', '_pc3.cer'];

interface Reading {
  readonly SerialNumber: number;
  readonly NotBefore: string;
  readonly NotAfter: string;
  readonly PlatformManufacturer: string;
  readonly PlatformModel: string;
  readonly PlatformVersion: string;
  readonly PlatformSerial: string;
  readonly Holder: { readonly Serial: number };
}

/** JSON.parse would round the serial numbers. */
const integers = (text: string) => text.replace(/("(?:Serial|SerialNumber)": )(\d+)/g, '$1"$2"');
const decimal = (hex: string) => BigInt(`0x${hex}`).toString();

describe.skipIf(!corpusIsThere)(`platform certificates (${corpusIsThere ? certificates.length : WHY_SKIPPED})`, () => {
  test.each(certificates)('$name reads as recorded', ({ path }) => {
    const read = readAttributeCertificate(corpusBytes(path));
    const recorded = JSON.parse(integers(corpusText(`${path}.json`))) as Reading;
    const { PlatformManufacturer, PlatformModel, PlatformVersion, PlatformSerial } = recorded;
    const names = {
      manufacturer: PlatformManufacturer,
      model: PlatformModel,
      version: PlatformVersion,
      serial: PlatformSerial,
    };
    expect({ manufacturer: '', model: '', version: '', serial: '', ...read.platform }).toEqual(names);
    expect([decimal(read.serial), decimal(read.holder.serial)]).toEqual([
      recorded.SerialNumber,
      recorded.Holder.Serial,
    ]);
    expect([read.notBefore, read.notAfter]).toEqual([new Date(recorded.NotBefore), new Date(recorded.NotAfter)]);
  });

  test.each(certificates)('$name: what was signed is found, and SHA-1 is no signature', ({ path }) => {
    const anchor = corpusBytes(files.find((file) => file.path.includes('SigningKey'))?.path ?? '');
    const certificate = readAttributeCertificate(corpusBytes(path));
    const { signedBytes, signature, algorithm } = certificate;
    const key = publicKeyOf(readCertificate(anchor));
    const good = verification().verify({ type: 'rsassa', hash: 'sha1' }, signedBytes, signature, key);
    expect(good && algorithm.algorithmId === SHA1_WITH_RSA).toBe(SIGNED.some((name) => path.endsWith(name)));
    expect(() => validateAttributeCertificate(certificate, [], new Trust([anchor]), new Date('2017-06-01'))).toThrow(
      'nobody known signed the platform certificate',
    );
    expect(isHolder(certificate, readCertificate(anchor))).toBe(false);
  });
});
