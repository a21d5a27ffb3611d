import { readFileSync } from 'node:fs'

/** The unit of the kernel: hundredths of a second. */
const tick_us = 10_000

/** Returns the CPU time of a process and of its ended children. Throws where there is no /proc. */
export function cpuOf(pid: number | 'self'): { own_us: number; ended_us: number } {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
  // Fields 14 to 17, counted after the name, which may contain spaces.
  const [user, system, ended_user, ended_system] = stat
    .slice(stat.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 15)
    .map(Number) as [number, number, number, number]
  return { own_us: (user + system) * tick_us, ended_us: (ended_user + ended_system) * tick_us }
}

export function commandOf(pid: number): string {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
}

export function parentOf(pid: number): number {
  return Number(/^PPid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1])
}

/** Returns the CPU time of a process and all its children, including ended ones; NaN where it cannot be read. */
export function familyCpu_us(pid: number): number {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').split(' ').filter(Boolean)
    // Children first. One that ends in between is counted twice or not at all; this is rare, and the error is small.
    const living_us = children.reduce((sum, child) => sum + livingCpu_us(Number(child)), 0)
    const { own_us, ended_us } = cpuOf(pid)
    return living_us + own_us + ended_us
  } catch {
    return Number.NaN
  }
}

function livingCpu_us(pid: number): number {
  try {
    return cpuOf(pid).own_us
  } catch {
    return 0
  }
}
