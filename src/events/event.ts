/** A parameter of a webhook's form; null and undefined are left out, as on the vendor's wire. */
export type FormValues = Readonly<Record<string, string | number | null | undefined>>

/** Something to tell post-action webhooks. */
export interface Event {
  readonly type: string
  /** Made only when somebody wants it. */
  readonly form: () => FormValues
  /** Deliveries about one subject keep their order. */
  readonly subject_sid: string
  /** Told although the request did not ask for webhooks: what the system does by itself. Such events carry no Source. */
  readonly by_itself: boolean
}
