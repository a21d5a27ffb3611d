import { type UseMutationOptions, useMutation } from '@tanstack/react-query'
import { useRef } from 'react'

/**
 * An act, which is done once at a time: a button learns that it was pressed only when the page is drawn anew, and a second press may
 * come before that.
 */
export function useAct<T = void, V = void>(options: UseMutationOptions<T, Error, V> & { mutationFn: (given: V) => Promise<T> }) {
  const busy = useRef(false)
  const mutation = useMutation({
    ...options,
    mutationFn: async (given: V) => {
      try {
        return await options.mutationFn(given)
      } finally {
        busy.current = false
      }
    },
  })
  const mutate = (given: V) => {
    if (busy.current) return
    busy.current = true
    mutation.mutate(given)
  }
  return { ...mutation, mutate }
}
