// The log follows a growing answer, unless the user has scrolled up to read.

export function isAtEnd(log: HTMLElement): boolean {
  return log.scrollHeight - log.scrollTop - log.clientHeight < 40;
}

export function follow(log: HTMLElement, wasAtEnd: boolean): void {
  if (wasAtEnd) log.scrollTop = log.scrollHeight;
}
