/** An error as one sentence for the user. */
export function sentence(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  return message === "Client is not running" ? NOT_RUNNING : message;
}

export const NOT_RUNNING = "The StarChat server is not running. Use “StarChat: Restart Server”.";
