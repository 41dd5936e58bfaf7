import { X509Certificate } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { SettingsInvalid } from '../settings.ts';

const CERTIFICATE = /-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gs;

/**
 * The certificates of a PEM file, and nothing else that may be in it.
 *
 * @throws {SettingsInvalid} when there is no such file, no certificate in it, or one that cannot be read.
 */
export const readAuthorities = (path: string): string => {
  try {
    const certificates = readFileSync(path, 'utf8').match(CERTIFICATE) ?? [];
    if (certificates.length === 0) throw new TypeError('there is no certificate in it');
    return certificates.map((pem) => new X509Certificate(pem).toString()).join('');
  } catch (error) {
    throw new SettingsInvalid(
      `database.caFile: ${path} has to be a PEM file of certificate authorities: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
};
