const units = [
  ['GB', 1_000_000_000],
  ['MB', 1_000_000],
  ['kB', 1000],
] as const

/** Such as `1.5 kB`. */
export function size(bytes: number): string {
  const unit = units.find(([, of]) => bytes >= of)
  return unit ? `${(bytes / unit[1]).toFixed(1)} ${unit[0]}` : `${bytes} bytes`
}
