// What the shell shows of the page inside it: its title and the way there.

export interface Crumb {
  text: string;
  href: string;
}

class PageHead {
  title = $state('');
  crumbs = $state.raw<readonly Crumb[]>([]);
}

export const pageHead = new PageHead();

/** In a page: names it, for the header and the browser's tab. */
export function namePage(head: () => { title: string; crumbs?: readonly Crumb[] }): void {
  $effect.pre(() => {
    const { title, crumbs = [] } = head();
    pageHead.title = title;
    pageHead.crumbs = crumbs;
  });
}
