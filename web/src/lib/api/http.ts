// Asking the server. Every failure becomes a `Problem` that says what happened, what it means and what to do.

import { ShapeError } from './parse';

export type ProblemKind = 'offline' | 'unauthorised' | 'forbidden' | 'conflict' | 'refused' | 'server' | 'shape';

export class Problem extends Error {
  constructor(
    readonly kind: ProblemKind,
    readonly status: number,
    /** The server's own words, where it gave any. */
    readonly title: string | null,
    readonly detail: string | null,
    readonly remedy: string | null,
    /** What else the server said with it, as it came. */
    readonly more: Readonly<Record<string, unknown>> = {},
  ) {
    super(detail ?? title ?? kind);
  }
}

export function asProblem(error: unknown): Problem {
  if (error instanceof Problem) return error;
  if (error instanceof ShapeError) return new Problem('shape', 0, null, error.message, null);
  return new Problem('offline', 0, null, null, null);
}

type Listener = () => void;
let onUnauthorised: Listener = () => undefined;

/** Who is told when a session has ended. */
export function whenUnauthorised(listener: Listener): void {
  onUnauthorised = listener;
}

function kindOf(status: number): ProblemKind {
  if (status === 401) return 'unauthorised';
  if (status === 403) return 'forbidden';
  if (status === 409) return 'conflict';
  return status >= 500 ? 'server' : 'refused';
}

async function problemOf(response: Response): Promise<Problem> {
  let body: Record<string, unknown> = {};
  try {
    const raw: unknown = await response.json();
    if (typeof raw === 'object' && raw !== null) body = raw as Record<string, unknown>;
  } catch {
    // No body, or none of ours: the status alone must do.
  }
  const word = (key: string): string | null => (typeof body[key] === 'string' ? body[key] : null);
  return new Problem(kindOf(response.status), response.status, word('title'), word('detail'), word('remedy'), body);
}

export interface Ask<T> {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  query?: Record<string, string | number | readonly string[] | null | undefined>;
  body?: unknown;
  read?: (raw: unknown) => T;
  signal?: AbortSignal | undefined;
  timeoutMs?: number;
  /** A 401 is an answer here (log-in), not the end of the session. */
  loggingIn?: boolean;
}

function address(path: string, query: Ask<unknown>['query']): string {
  const search = new URLSearchParams();
  for (const [key, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined) continue;
    for (const one of Array.isArray(value) ? value : [value]) search.append(key, String(one));
  }
  const text = search.toString();
  return text ? `${path}?${text}` : path;
}

async function answered<T>(path: string, wish: Ask<T>): Promise<Response> {
  const method = wish.method ?? 'GET';
  const deadline = AbortSignal.timeout(wish.timeoutMs ?? 15_000);
  const signal = wish.signal ? AbortSignal.any([wish.signal, deadline]) : deadline;
  const init: RequestInit = { method, signal, credentials: 'same-origin', headers: { accept: 'application/json' } };
  if (method !== 'GET') {
    init.headers = { accept: 'application/json', 'content-type': 'application/json', 'x-andon': '1' };
    init.body = JSON.stringify(wish.body ?? {});
  }
  const response = await fetch(address(path, wish.query), init);
  if (!response.ok) {
    if (response.status === 401 && !wish.loggingIn) onUnauthorised();
    throw await problemOf(response);
  }
  return response;
}

export async function ask<T = void>(path: string, wish: Ask<T> = {}): Promise<T> {
  const response = await answered(path, wish);
  if (!wish.read) return undefined as T;
  return wish.read(await response.json());
}

/** A file, byte for byte as the server has it. */
export const askFile = async (path: string, wish: Pick<Ask<never>, 'signal' | 'timeoutMs'> = {}): Promise<Blob> => (await answered(path, wish)).blob();

/** Posts, and gives the answer to be read as it comes; the caller brings the deadline. */
export async function open(path: string, body: unknown, signal: AbortSignal): Promise<Response> {
  const response = await fetch(path, {
    method: 'POST',
    signal,
    credentials: 'same-origin',
    headers: { 'content-type': 'application/json', 'x-andon': '1' },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    if (response.status === 401) onUnauthorised();
    throw await problemOf(response);
  }
  return response;
}

export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}
