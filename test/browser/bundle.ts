/** A module of the project in headless Chromium: bundled by Vite, served from a secure origin that does not exist. */
import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { type Browser, chromium, type Page } from 'playwright-core';
import { build } from 'vite';

export const executablePath = ['/usr/bin/chromium', '/usr/bin/chromium-browser', '/usr/bin/google-chrome'].find(
  existsSync,
);

export interface Opened {
  readonly browser: Browser;
  readonly page: Page;
  /** Call an export of the module with one JSON argument. */
  call<T>(name: string, argument?: unknown): Promise<T>;
  /** The code of every chunk. */
  readonly chunks: ReadonlyMap<string, string>;
}

/** Needs `executablePath`; close `browser` when done. */
export async function openModule(entry: string): Promise<Opened> {
  const bundle = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: false,
      target: 'es2022',
      lib: { entry: resolve(entry), formats: ['es'], fileName: 'page' },
      // What is loaded on Node alone keeps its imports as they are.
      rollupOptions: { external: [/^node:/] },
    },
  });
  const [output] = Array.isArray(bundle) ? bundle : [bundle];
  if (!output || !('output' in output)) throw new Error('Vite watches instead of building');
  const chunks = new Map(output.output.map((chunk) => [chunk.fileName, 'code' in chunk ? chunk.code : '']));
  const browser = await chromium.launch({ executablePath: executablePath ?? '', args: ['--no-sandbox'] });
  const page = await browser.newPage();
  // WebCrypto needs a secure origin.
  await page.route('https://page.test/**', (route) => {
    const code = chunks.get(new URL(route.request().url()).pathname.slice(1));
    return code === undefined
      ? route.fulfill({ contentType: 'text/html', body: '<!doctype html>' })
      : route.fulfill({ contentType: 'text/javascript', body: code });
  });
  await page.goto('https://page.test/');
  return {
    browser,
    page,
    chunks,
    call: (name, argument) =>
      page.evaluate(
        `import('https://page.test/page.js').then((page) => page.${name}(${JSON.stringify(argument ?? null)}))`,
      ),
  };
}
