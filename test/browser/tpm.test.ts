/** The TPM in a browser: bundled by Vite, run in headless Chromium. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { chromium } from 'playwright-core';
import { build } from 'vite';
import { describe, expect, test } from 'vitest';

const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(existsSync);

describe.skipIf(!executablePath)('in headless Chromium (needs chromium)', () => {
  test('creates a key, quotes, and WebCrypto verifies the quote', async () => {
    const bundle = await build({
      configFile: false,
      logLevel: 'error',
      build: {
        write: false,
        minify: false,
        target: 'es2022',
        lib: { entry: resolve('test/browser/page.ts'), formats: ['es'], fileName: 'page' },
        // The OpenSSL provider is a chunk that is loaded on Node alone; its imports stay what they are.
        rollupOptions: { external: [/^node:/] },
      },
    });
    const [output] = Array.isArray(bundle) ? bundle : [bundle];
    if (!output || !('output' in output)) throw new Error('Vite watches instead of building');
    const chunks = new Map(output.output.map((chunk) => [chunk.fileName, 'code' in chunk ? chunk.code : '']));
    const browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox'] });
    try {
      const page = await browser.newPage();
      // WebCrypto needs a secure origin.
      await page.route('https://tpm.test/**', (route) => {
        const code = chunks.get(new URL(route.request().url()).pathname.slice(1));
        return code === undefined
          ? route.fulfill({ contentType: 'text/html', body: '<!doctype html>' })
          : route.fulfill({ contentType: 'text/javascript', body: code });
      });
      await page.goto('https://tpm.test/');
      const result = await page.evaluate(`import('https://tpm.test/page.js').then((page) => page.quoteInBrowser())`);
      expect(result).toEqual({ verified: true, magic: 'TCG' });
    } finally {
      await browser.close();
    }
  });
});
