/** The fewest characters that the server takes; it says so itself, too. */
export const SHORTEST_PASSWORD = 12;
