// Who has been erased, as far as a reader was told, and which events that covers.

/** In memory: what was told since the start, and what the owner kept from before (`subject.erased` values). */
export class KnownErasures {
  #byPseudonym = new Map();

  constructor(kept = []) {
    for (const erased of kept) this.remember(erased);
  }

  /** Two erasures of one person join into one that covers what either does. */
  remember({ request, pseudonyms, watermark_s: watermarkS, executed_at_ms: executedAtMs }) {
    for (const pseudonym of pseudonyms) {
      const known = this.#byPseudonym.get(pseudonym);
      const isNewer = !known || executedAtMs >= known.executedAtMs;
      this.#byPseudonym.set(pseudonym, {
        request: isNewer ? request : known.request,
        watermarkS: Math.max(watermarkS, known?.watermarkS ?? watermarkS),
        executedAtMs: Math.max(executedAtMs, known?.executedAtMs ?? executedAtMs),
      });
    }
  }

  /** The erasure that covers an event of this pseudonym, if any. `occurredS` is null for an undated event. */
  covering(pseudonym, occurredS, receivedAtMs) {
    const known = this.#byPseudonym.get(pseudonym);
    if (!known) return undefined;
    const isPast = receivedAtMs <= known.executedAtMs || (occurredS !== null && occurredS <= known.watermarkS);
    return isPast ? known : undefined;
  }
}
