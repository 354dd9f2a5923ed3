import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vitest/config';

// The server that the development page talks to; `npm run dev:mock` needs none.
const server = process.env.ANDON_SERVER ?? 'http://127.0.0.1:8080';

export default defineConfig({
  plugins: [svelte()],
  resolve: {
    alias: { $lib: '/src/lib', $messages: '/src/messages/index.svelte.ts' },
    ...(process.env.VITEST ? { conditions: ['browser'] } : {}),
  },
  test: { include: ['src/**/*.spec.ts'] },
  build: {
    target: 'es2022',
    // Strict content security policy: nothing may be inlined as a data: address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    manifest: true,
    emptyOutDir: true,
    rolldownOptions: {
      output: {
        // The chart library is shared by screens that load late; it must never enter the first bundle.
        chunkFileNames: 'assets/[name]-[hash].js',
        entryFileNames: 'assets/[name]-[hash].js',
      },
    },
  },
  server: {
    host: '127.0.0.1',
    port: 5173,
    proxy: { '/api': { target: server, ws: true } },
  },
});
