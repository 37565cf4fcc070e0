/** How wide the terminal of a stream is. Some terminals say 0 when they do not know. */
export function terminalColumns(stream: { readonly columns?: number | undefined }, fallback: number): number {
  const { columns } = stream;
  return columns === undefined || columns <= 0 ? fallback : columns;
}
