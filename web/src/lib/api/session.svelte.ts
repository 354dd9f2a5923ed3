// Who is here, what they may do, and which server this is.

import { isUnder } from '$lib/domain/tree';
import { ask, asProblem, whenUnauthorised, type Problem } from './http';
import { live } from './live.svelte';
import { plant } from './plant.svelte';
import { session as parseSession, status as parseStatus } from './parse';
import type { Role, Session, Status } from './types';
import { ROLES } from './types';

export type Door = { state: 'asking' } | { state: 'failed'; problem: Problem } | { state: 'out' } | { state: 'in'; session: Session };
export type Deed = 'acknowledge' | 'operate' | 'configure' | 'administer';

const NEEDS: Record<Deed, Role> = { acknowledge: 'operator', operate: 'operator', configure: 'engineer', administer: 'administrator' };

class Access {
  door = $state.raw<Door>({ state: 'asking' });
  status = $state.raw<Status | null>(null);

  get session(): Session | null {
    return this.door.state === 'in' ? this.door.session : null;
  }

  /** May the person here do this on that branch of the tree? The server decides again; this only saves a vain try. */
  may(deed: Deed, path = ''): boolean {
    const session = this.session;
    if (!session) return false;
    if (session.grants.length === 0) return session.may[deed];
    const needed = ROLES.indexOf(NEEDS[deed]);
    return session.grants.some((g) => ROLES.indexOf(g.role) >= needed && isUnder(path, g.branch));
  }

  /** Anywhere at all: decides whether a page stands in the navigation. */
  mayAnywhere(deed: Deed): boolean {
    return this.session?.may[deed] ?? false;
  }

  /** May the person here look at the whole node? What belongs to no branch is shown only then. */
  get seesAll(): boolean {
    const session = this.session;
    return session !== null && (session.grants.length === 0 || session.grants.some((g) => g.branch === ''));
  }

  /** `knocking`: somebody brings a code to log in with, so nobody needs to be asked who is here already. */
  async begin(knocking = false): Promise<void> {
    whenUnauthorised(() => this.leave());
    this.door = { state: 'asking' };
    try {
      this.status = await ask('/api/status', { read: parseStatus });
      if (knocking || this.status.setupNeeded) this.door = { state: 'out' };
      else await this.enter();
    } catch (error) {
      const problem = asProblem(error);
      this.door = problem.kind === 'unauthorised' ? { state: 'out' } : { state: 'failed', problem };
    }
  }

  /** After a log-in: asks who we are and opens the live connection. */
  async enter(): Promise<void> {
    const session = await ask('/api/session', { read: parseSession, loggingIn: true });
    // The alarm bar stands in its place before the page is drawn below it; without alarms the page still opens.
    await Promise.all([plant.load(), live.refreshAlarms().catch(() => undefined)]);
    this.door = { state: 'in', session };
    live.start();
  }

  async refreshStatus(): Promise<void> {
    this.status = await ask('/api/status', { read: parseStatus });
  }

  leave(): void {
    live.stop();
    plant.clear();
    this.door = { state: 'out' };
  }

  async logout(): Promise<void> {
    await ask('/api/logout', { method: 'POST' });
    this.leave();
  }
}

export const access = new Access();
