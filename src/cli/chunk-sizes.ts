/** How many bytes of a file its chunk of one column holds, when the file has no holes. Pure. */
export function chunkBytes(fileSize: number, column: number, columns: number, stripeSize: number): number {
  const row = stripeSize * columns;
  const fullRows = Math.floor(fileSize / row);
  const rest = fileSize - fullRows * row - column * stripeSize;
  return fullRows * stripeSize + Math.min(stripeSize, Math.max(0, rest));
}
