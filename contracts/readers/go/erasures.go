package reader

// Erasures remembers who has been erased, as far as it was told.
type Erasures struct{ known map[string]erasure }

type erasure struct {
	request                  string
	watermarkS, executedAtMs int64
}

// Remember joins two erasures of one person into one that covers what either does.
func (all *Erasures) Remember(said SubjectErased) {
	if all.known == nil {
		all.known = map[string]erasure{}
	}
	for _, pseudonym := range said.Pseudonyms {
		told := erasure{said.Request, *said.WatermarkS, *said.ExecutedAtMs}
		if known, has := all.known[pseudonym]; has {
			if known.executedAtMs > told.executedAtMs {
				told.request = known.request
			}
			told.watermarkS = max(told.watermarkS, known.watermarkS)
			told.executedAtMs = max(told.executedAtMs, known.executedAtMs)
		}
		all.known[pseudonym] = told
	}
}

// covering gives the erasure that an event of this pseudonym falls under. occurredS is 0 for an undated event.
func (all *Erasures) covering(pseudonym string, occurredS, receivedAtMs int64) (erasure, bool) {
	known, has := all.known[pseudonym]
	isPast := receivedAtMs <= known.executedAtMs || (occurredS != 0 && occurredS <= known.watermarkS)
	return known, has && isPast
}
