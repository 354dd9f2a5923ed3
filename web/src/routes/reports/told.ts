// A part of a report: told, or why it is not. One that fails leaves the others standing.

import { asProblem, type Problem } from '$lib/api/http';

export type Told<T> = { value: T } | { problem: Problem };

export async function told<T>(asked: Promise<T>): Promise<Told<T>> {
  try {
    return { value: await asked };
  } catch (error) {
    return { problem: asProblem(error) };
  }
}
