// A router of one file: the address bar holds the whole state of a page, and a copied link shows the same picture.

import { SvelteURL } from 'svelte/reactivity';

export type QueryChange = Record<string, string | null>;

class Router {
  #url = new SvelteURL(location.href);

  start(): void {
    addEventListener('popstate', () => (this.#url.href = location.href));
    document.addEventListener('click', (event) => this.#follow(event));
  }

  get path(): string {
    return this.#url.pathname;
  }

  get query(): URLSearchParams {
    return this.#url.searchParams;
  }

  get(key: string): string | null {
    return this.#url.searchParams.get(key);
  }

  go(target: string, replace = false): void {
    if (replace) history.replaceState(null, '', target);
    else history.pushState(null, '', target);
    this.#url.href = location.href;
  }

  /** Changes some of the page's state; null or an empty text removes a key. */
  set(change: QueryChange, replace = false): void {
    this.go(this.link(this.path, { ...Object.fromEntries(this.query), ...change }), replace);
  }

  link(path: string, query: QueryChange = {}): string {
    const search = new URLSearchParams();
    for (const [key, value] of Object.entries(query)) if (value !== null && value !== '') search.set(key, value);
    // Slashes and commas stand in almost every link of ours; they need no escape in a query and read better so.
    const text = search.toString().replaceAll('%2F', '/').replaceAll('%2C', ',').replaceAll('%3A', ':');
    return text ? `${path}?${text}` : path;
  }

  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const anchor = event.target instanceof Element ? event.target.closest('a') : null;
    if (!anchor || anchor.target || anchor.hasAttribute('download') || anchor.origin !== location.origin) return;
    if (anchor.pathname.startsWith('/api/') || anchor.hash) return;
    event.preventDefault();
    this.go(anchor.pathname + anchor.search);
  }
}

export const router = new Router();
