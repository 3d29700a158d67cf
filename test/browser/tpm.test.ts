/** The TPM in a browser: bundled by Vite, run in headless Chromium. */
import { describe, expect, test } from 'vitest';
import { executablePath, openModule } from './bundle.ts';

describe.skipIf(!executablePath)('in headless Chromium (needs chromium)', () => {
  test('creates a key, quotes, and WebCrypto verifies the quote', async () => {
    const { browser, call } = await openModule('test/browser/page.ts');
    try {
      expect(await call('quoteInBrowser')).toEqual({ verified: true, magic: 'TCG' });
    } finally {
      await browser.close();
    }
  });
});
